"""Callback endpoints that can be made faulty, in a process of their own, with a compact record of
every request: who, which event, which attempt, when, which bytes, whether the signature verifies.

Each path is one endpoint. Ports: `port` answers; `hanging` takes connections and never says a word
(a TLS handshake hangs there); `full` has a queue of connections that is full, so that connecting
hangs; `refused` has no listener.
Bounds: keeps one row per request, no bodies; loopback only.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import hmac
import re
import select
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import NamedTuple

from support.child import Child
from support.wait import until

_HEADER = re.compile(rb"\r\n([!-9;-~]+): *([^\r\n]*)")
BIG = b"x" * 65536


@dataclass
class Behaviour:
    """What an endpoint does with a request that it has read. Times are seconds."""

    status: int = 200
    script: list[int] = field(default_factory=list)  # statuses of its first requests
    per_event: list[int] = field(default_factory=list)  # statuses of each event's first attempts
    only: dict[str, int] = field(default_factory=dict)  # object or event id -> status
    delay: float = 0.0
    headers: str = ""
    rate: float = 0.0  # answers at most so many requests a second, the others wait
    up: float = 0.0  # flaps: answers for `up`, fails for `down`, counted from when it was set
    down: float = 0.0
    down_status: int = 503  # 0: resets the connection
    hang: str = ""  # "head": no answer at all; "body": head, then nothing
    drip: float = 0.0  # seconds between two bytes of the answer
    endless: str = ""  # "body": never ends; "headers": header lines without end
    reset: bool = False  # RST instead of an answer
    close: bool = False  # ends the connection after each answer, unannounced


class Row(NamedTuple):
    path: str
    event: str
    attempt: int
    status: int
    at: float
    done: float
    digest: bytes
    signed: bool
    stamp: float | None


def _verify(
    headers: dict[bytes, bytes], body: bytes, keys: list[bytes]
) -> tuple[bool, float | None]:
    """Standard Webhooks 1.0.0: HMAC-SHA256 over `id.timestamp.body`; any key, any signature."""
    stamp = headers.get(b"webhook-timestamp", b"")
    if not stamp.isdigit():
        return False, None
    signed = headers.get(b"webhook-id", b"") + b"." + stamp + b"." + body
    told = headers.get(b"webhook-signature", b"").split(b" ")
    for key in keys:
        wanted = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        if any(hmac.compare_digest(wanted, one) for one in told):
            return True, float(stamp)
    return False, float(stamp)


class _Peer:
    __slots__ = ("socket", "buffer", "out", "row", "feed", "rest", "since", "open")

    def __init__(self, peer: socket.socket):
        self.socket = peer
        self.buffer = bytearray()
        self.out = b""
        self.row: list | None = None
        self.feed: tuple[str, float] | None = None  # endless or dripping answer
        self.rest = b""  # what is still to drip
        self.since: tuple[str, float] | None = None  # an answer that has no end: path, read at
        self.open = ""  # path of the request whose answer it still waits for

    def ended(self) -> bool:
        """The other side has closed it, which may not have been read yet."""
        try:
            return self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


class _Server:
    def __init__(self, control: Connection):
        self.control = control
        self.listener = self._listen(1024)
        self.silent = self._listen(1024)
        self.full = self._listen(0)
        self.filler = []
        for _ in range(3):  # fills the accept queue of `full`, which nobody empties
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(self.full.getsockname())
            self.filler.append(one)
        self.poll = select.epoll()
        for one in (self.listener, self.silent, control):
            self.poll.register(one.fileno(), select.EPOLLIN)
        self.peers: dict[int, _Peer] = {}
        self.kept: list[socket.socket] = []
        self.behaviours: dict[str, tuple[Behaviour, float]] = {}
        self.tries: dict[tuple[str, str], int] = {}
        self.busy: dict[str, float] = {}  # path -> when the next answer may be sent
        self.keys: list[bytes] = []
        self.rows: list[Row] = []
        self.counts: dict[str, list[int]] = {}
        self.open: dict[str, set[_Peer]] = {}  # by path: those that wait for an answer
        self.open_most: dict[str, int] = {}
        self.longest: dict[str, float] = {}  # from reading a request to its end
        self.later: list[tuple[float, int, int, _Peer, str]] = []
        self.number = 0
        self.connections = 0
        ports = [one.getsockname()[1] for one in (self.listener, self.silent, self.full)]
        control.send(ports)

    @staticmethod
    def _listen(backlog: int) -> socket.socket:
        one = socket.socket()
        one.bind(("127.0.0.1", 0))
        one.listen(backlog)
        one.setblocking(False)
        return one

    def run(self) -> None:
        while True:
            wait = 1.0
            if self.later:
                wait = max(0.0, min(wait, self.later[0][0] - time.time()))
            for fd, events in self.poll.poll(wait):
                if fd == self.listener.fileno():
                    self.accept()
                elif fd == self.silent.fileno():
                    self.keep_silent()
                elif fd == self.control.fileno():
                    if not self.command():
                        return
                elif fd in self.peers:
                    if events & select.EPOLLOUT:
                        self.flush(self.peers[fd])
                    if fd in self.peers and events & ~select.EPOLLOUT:
                        self.receive(self.peers[fd])
            now = time.time()
            while self.later and self.later[0][0] <= now:
                _, _, fd, peer, what = heapq.heappop(self.later)
                if self.peers.get(fd) is peer:
                    self.speak(peer) if what == "answer" else self.feed(peer)

    def accept(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except BlockingIOError:
                return
            peer.setblocking(False)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self.peers[peer.fileno()] = _Peer(peer)
            self.poll.register(peer.fileno(), select.EPOLLIN)

    def keep_silent(self) -> None:
        try:
            peer, _ = self.silent.accept()
            self.connections += 1
            self.kept.append(peer)
        except BlockingIOError:
            pass

    def drop(self, peer: _Peer, reset: bool = False) -> None:
        fd = peer.socket.fileno()
        if self.peers.pop(fd, None) is None:
            return
        self.answered(peer)
        self.poll.unregister(fd)
        if reset:
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.socket.close()
        if peer.row is not None:
            self.note(peer, 0)
        if peer.since is not None:
            self.rid(*peer.since)

    def rid(self, path: str, at: float) -> None:
        self.longest[path] = max(self.longest.get(path, 0.0), time.time() - at)

    def asked(self, path: str, peer: _Peer) -> None:
        there = self.open.setdefault(path, set())
        there.add(peer)
        peer.open = path
        if len(there) > self.open_most.get(path, 0):
            there -= {one for one in there if one is not peer and one.ended()}
            self.open_most[path] = max(self.open_most.get(path, 0), len(there))

    def answered(self, peer: _Peer) -> None:
        if peer.open:
            self.open[peer.open].discard(peer)
            peer.open = ""

    def receive(self, peer: _Peer) -> None:
        try:
            data = peer.socket.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(peer)
            return
        peer.buffer += data
        if peer.buffer[0] == 0x16:  # a TLS handshake; this endpoint speaks plain HTTP
            peer.out = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
            self.flush(peer)
            self.drop(peer)
            return
        self.read(peer)

    def read(self, peer: _Peer) -> None:
        while peer.row is None and peer.socket.fileno() in self.peers:
            end = peer.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(peer.buffer[:end])
            headers = {n.lower(): v for n, v in _HEADER.findall(head)}
            size = int(headers.get(b"content-length", 0))
            if len(peer.buffer) < end + 4 + size:
                return
            body = bytes(peer.buffer[end + 4 : end + 4 + size])
            del peer.buffer[: end + 4 + size]
            self.judge(peer, head, headers, body)

    def judge(self, peer: _Peer, head: bytes, headers: dict[bytes, bytes], body: bytes) -> None:
        now = time.time()
        path = head.split(b" ", 2)[1].decode("latin-1")
        name = headers.get(b"webhook-id") or headers.get(b"elements-webhook-id", b"")
        event = name.decode("latin-1")
        attempt = int(headers.get(b"eventrelay-attempt", b"1"))
        signed, stamp = _verify(headers, body, self.keys)
        content = hashlib.blake2b(body, digest_size=16).digest()
        behaviour, since = self.behaviour(path)
        status = self.status(path, event, body, behaviour, now - since)
        peer.row = [path, event, attempt, status, now, now, content, signed, stamp]
        self.asked(path, peer)
        count = self.counts.setdefault(path, [0, 0])
        count[0] += 1
        at = now + behaviour.delay
        if behaviour.rate:
            at = max(at, self.busy.get(path, 0.0) + 1.0 / behaviour.rate)
            self.busy[path] = at
        if at > now:
            self.at(at, peer, "answer")
        else:
            self.speak(peer)

    def behaviour(self, path: str) -> tuple[Behaviour, float]:
        found = self.behaviours.get(path)
        if found is None:
            found = self.behaviours.get(path.rsplit("/", 1)[0] + "/*")
        return found or (Behaviour(), 0.0)

    def status(
        self, path: str, event: str, body: bytes, behaviour: Behaviour, age: float
    ) -> int:
        if behaviour.script:
            return behaviour.script.pop(0)
        if behaviour.per_event:
            made = self.tries.get((path, event), 0)
            self.tries[(path, event)] = made + 1
            if made < len(behaviour.per_event):
                return behaviour.per_event[made]
        for needle, status in behaviour.only.items():
            if needle == event or needle.encode() in body:
                return status
        if behaviour.down and age % (behaviour.up + behaviour.down) >= behaviour.up:
            return behaviour.down_status
        return behaviour.status

    def at(self, when: float, peer: _Peer, what: str) -> None:
        self.number += 1
        heapq.heappush(self.later, (when, self.number, peer.socket.fileno(), peer, what))

    def note(self, peer: _Peer, status: int) -> None:
        row, peer.row = peer.row, None
        row[3], row[5] = status, time.time()
        self.rows.append(Row(*row))
        if peer.since is None:
            self.rid(row[0], row[4])
        if 200 <= status < 300:
            self.counts[row[0]][1] += 1

    def speak(self, peer: _Peer) -> None:
        path, status = peer.row[0], peer.row[3]
        behaviour, _ = self.behaviour(path)
        if behaviour.reset or status == 0:
            self.drop(peer, reset=True)
            return
        if behaviour.hang == "head":
            return  # the row is written when the peer gives up
        head = f"HTTP/1.1 {status} X\r\n{behaviour.headers}".encode()
        if behaviour.hang == "body" or behaviour.endless:
            # The status has been sent, so it counts, whatever becomes of the rest of the answer.
            peer.since = (path, peer.row[4])
            self.note(peer, status)
        if behaviour.hang == "body":
            peer.out += head + b"Content-Length: 20\r\n\r\n{"
            self.flush(peer)
            return
        if behaviour.endless:
            size = b"Content-Length: 10000000000\r\n\r\n" if behaviour.endless == "body" else b""
            peer.out += head + size
            peer.feed = (behaviour.endless, 0.0)
            self.flush(peer)
            return
        if behaviour.drip:
            peer.feed = ("drip", behaviour.drip)
            peer.rest = head + b"Content-Length: 2000\r\n\r\n" + b"x" * 2000
            self.feed(peer)
            return
        # The row is written before the answer is sent, so a commit that follows is later than it.
        self.note(peer, status)
        self.answered(peer)
        empty = status in (204, 304) or status < 200
        peer.out += head + (b"\r\n" if empty else b"Content-Length: 2\r\n\r\n{}")
        self.flush(peer)
        if behaviour.close:
            self.drop(peer)
        if peer.buffer and peer.socket.fileno() in self.peers:
            self.read(peer)

    def feed(self, peer: _Peer) -> None:
        """One more byte of a dripping answer."""
        peer.out += peer.rest[:1]
        peer.rest = peer.rest[1:]
        self.flush(peer)
        if peer.rest and peer.socket.fileno() in self.peers:
            self.at(time.time() + peer.feed[1], peer, "feed")

    def flush(self, peer: _Peer) -> None:
        fd = peer.socket.fileno()
        if fd not in self.peers:
            return
        try:
            while True:
                if not peer.out and peer.feed and peer.feed[0] != "drip":
                    line = b"X-Filler: " + BIG[:200] + b"\r\n"
                    peer.out = BIG if peer.feed[0] == "body" else line
                if not peer.out:
                    break
                sent = peer.socket.send(peer.out)
                peer.out = peer.out[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self.drop(peer)
            return
        self.poll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if peer.out else 0))

    def command(self) -> bool:
        try:
            name, *arguments = self.control.recv()
        except EOFError:
            return False
        if name == "set":
            path, behaviour = arguments
            self.behaviours.pop(path, None)
            if behaviour is not None:
                self.behaviours[path] = (behaviour, time.time())
            self.control.send(None)
        elif name == "keys":
            self.keys = arguments[0]
            self.control.send(None)
        elif name == "counts":
            self.control.send(self.counts)
        elif name == "state":
            self.control.send((self.connections, self.open_most, self.longest))
        elif name == "rows":
            first, most = arguments
            self.control.send(self.rows[first : first + most])
        elif name == "clear":
            self.rows, self.counts, self.open_most, self.tries = [], {}, {}, {}
            self.longest = {}
            self.control.send(None)
        return name != "end"


def _serve(control: Connection) -> None:
    _Server(control).run()


class Endpoints:
    """Handle of the process; stands in for a Receiver where only `url` and `port` are used."""

    def __init__(self) -> None:
        self._child = Child(_serve)
        self.port, self.hanging, self.full = self._child.hello

    def give_way(self) -> None:
        """Lowest priority. Real endpoints have machines of their own, so these take only what the
        programs leave."""
        self._child.give_way()

    def url(self, path: str = "/", port: int | None = None, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{port or self.port}{path}"

    def set(self, path: str, behaviour: Behaviour | None = None) -> None:
        """None: answers 200 at once, as at first. `/a/*`: all paths below /a/."""
        self._child.ask("set", path, behaviour)

    def keys(self, *keys: bytes) -> None:
        """Keys that a signature may be made with."""
        self._child.ask("keys", list(keys))

    def requests(self, path: str | None = None) -> int:
        counts = self._child.ask("counts")
        return sum(n for p, (n, _) in counts.items() if path is None or p == path)

    def taken(self, path: str | None = None) -> int:
        """Requests answered 2xx."""
        counts = self._child.ask("counts")
        return sum(n for p, (_, n) in counts.items() if path is None or p == path)

    def taken_by_path(self) -> dict[str, int]:
        return {path: taken for path, (_, taken) in self._child.ask("counts").items()}

    def connections(self) -> int:
        return self._child.ask("state")[0]

    def open_most(self, path: str) -> int:
        """Most requests of this path that waited for (the rest of) an answer at one time."""
        return self._child.ask("state")[1].get(path, 0)

    def rows(self) -> list[Row]:
        """Every finished request, in the order of finishing."""
        found: list[Row] = []
        while part := self._child.ask("rows", len(found), 50_000):
            found += part
        return found

    def longest(self, path: str) -> float:
        """Longest time from reading a request to having answered or lost it."""
        return self._child.ask("state")[2].get(path, 0.0)

    def clear(self) -> None:
        self._child.ask("clear")

    def wait_taken(self, count: int, seconds: float, path: str | None = None) -> None:
        until(
            lambda: self.taken(path) >= count,
            seconds,
            f"{count} deliveries at {path or 'all paths'}",
            pause=0.05,
        )

    def close(self) -> None:
        self._child.close()
