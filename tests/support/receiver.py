"""A callback receiver in a process of its own: records every request, answers as told.

Bounds: keeps what it received until cleared; loopback only.
"""

from __future__ import annotations

import heapq
import re
import select
import socket
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from support.child import Child
from support.wait import until

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


@dataclass
class Rule:
    """How requests whose path begins with the rule's path are answered."""

    status: int = 200
    delay: float = 0.0
    headers: str = ""
    close: bool = False  # end the connection instead of answering
    times: int | None = None  # only the first so many; then the rule is gone


@dataclass
class Delivery:
    at: float  # time.monotonic() of this machine
    head: bytes
    body: bytes
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    path: str = ""

    def __post_init__(self) -> None:
        first, *lines = self.head.decode("latin-1").split("\r\n")
        self.path = first.split(" ")[1]
        self.headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}


class _Server:
    """The loop in the child process."""

    def __init__(self, control: Connection):
        self.control = control
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1024)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.listener.fileno(), select.EPOLLIN)
        self.poll.register(control.fileno(), select.EPOLLIN)
        self.open: dict[int, tuple[socket.socket, bytearray]] = {}
        self.rules: dict[str, Rule] = {}
        self.seen: list[tuple[float, bytes, bytes, int]] = []
        self.counts: dict[str, int] = {}
        self.later: list[tuple[float, int, int, bytes]] = []
        self.sequence = 0
        self.connections = 0
        control.send(self.listener.getsockname()[1])

    def run(self) -> None:
        while True:
            wait = 1.0
            if self.later:
                wait = max(0.0, min(wait, self.later[0][0] - time.monotonic()))
            for fd, _ in self.poll.poll(wait):
                if fd == self.listener.fileno():
                    self.accept()
                elif fd == self.control.fileno():
                    if not self.command():
                        return
                else:
                    self.receive(fd)
            while self.later and self.later[0][0] <= time.monotonic():
                _, _, fd, answer = heapq.heappop(self.later)
                self.write(fd, answer)

    def accept(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except BlockingIOError:
                return
            peer.setblocking(False)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self.open[peer.fileno()] = (peer, bytearray())
            self.poll.register(peer.fileno(), select.EPOLLIN)

    def drop(self, fd: int) -> None:
        peer, _ = self.open.pop(fd, (None, None))
        if peer is not None:
            self.poll.unregister(fd)
            peer.close()

    def receive(self, fd: int) -> None:
        peer, buffer = self.open.get(fd, (None, None))
        if peer is None:
            return
        try:
            data = peer.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(fd)
            return
        buffer += data
        while fd in self.open:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(buffer[:end])
            length = _LENGTH.search(head)
            size = int(length.group(1)) if length else 0
            if len(buffer) < end + 4 + size:
                return
            body = bytes(buffer[end + 4 : end + 4 + size])
            del buffer[: end + 4 + size]
            self.answer(fd, head, body)

    def answer(self, fd: int, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1].decode("latin-1")
        rule, key = Rule(), None
        for prefix, candidate in self.rules.items():
            if path.startswith(prefix):
                rule, key = candidate, prefix
        if key is not None and rule.times is not None:
            rule.times -= 1
            if rule.times <= 0:
                del self.rules[key]
        now = time.monotonic()
        status = 0 if rule.close else rule.status
        self.seen.append((now, head, body, status))
        self.counts[path] = self.counts.get(path, 0) + 1
        if rule.close:
            self.drop(fd)
            return
        text = f"HTTP/1.1 {rule.status} X\r\n{rule.headers}Content-Length: 2\r\n\r\n{{}}".encode()
        if rule.delay:
            self.sequence += 1
            heapq.heappush(self.later, (now + rule.delay, self.sequence, fd, text))
        else:
            self.write(fd, text)

    def write(self, fd: int, text: bytes) -> None:
        peer, _ = self.open.get(fd, (None, None))
        if peer is not None:
            try:
                peer.sendall(text)
            except OSError:
                self.drop(fd)

    def command(self) -> bool:
        try:
            name, *arguments = self.control.recv()
        except EOFError:
            return False
        if name == "rule":
            path, rule = arguments
            self.rules.pop(path, None)
            if rule is not None:
                self.rules[path] = rule
            self.control.send(None)
        elif name == "counts":
            self.control.send((dict(self.counts), self.connections))
        elif name == "seen":
            self.control.send(self.seen[arguments[0] :])
        elif name == "clear":
            self.seen, self.counts = [], {}
            self.control.send(None)
        return name != "end"


def _serve(control: Connection) -> None:
    _Server(control).run()


class Receiver:
    """Handle of a receiver process."""

    def __init__(self) -> None:
        self._child = Child(_serve)
        self.port: int = self._child.hello

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def answer(self, path: str, rule: Rule | None) -> None:
        """Sets the rule of a path; None takes it away (200 at once)."""
        self._child.ask("rule", path, rule)

    def count(self, path: str = "") -> int:
        counts, _ = self._child.ask("counts")
        return sum(n for p, n in counts.items() if p.startswith(path))

    def connections(self) -> int:
        return self._child.ask("counts")[1]

    def deliveries(self, path: str = "") -> list[Delivery]:
        seen = [Delivery(*row) for row in self._child.ask("seen", 0)]
        return [delivery for delivery in seen if delivery.path.startswith(path)]

    def clear(self) -> None:
        self._child.ask("clear")

    def wait_for(self, count: int, seconds: float, path: str = "") -> None:
        until(
            lambda: self.count(path) >= count,
            seconds,
            f"{count} deliveries at {path or '/'}, there are {self.count(path)}",
            pause=0.05,
        )

    def close(self) -> None:
        self._child.close()
