"""A fast sender: raw sockets, one request in flight per connection, every answer written down.

Bounds: as many requests as given; only to loopback.
"""

from __future__ import annotations

import heapq
import re
import select
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Sequence

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
RESET = 0  # status of a request whose connection ended without an answer


@dataclass
class Answer:
    index: int
    status: int
    body: bytes
    sent: float  # monotonic; with a rate: when it was due
    done: float

    @property
    def seconds(self) -> float:
        return self.done - self.sent


class _Connection:
    __slots__ = ("socket", "unsent", "buffer", "index", "due", "connecting")

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.unsent = b""
        self.buffer = b""
        self.index: int | None = None
        self.due = 0.0
        self.connecting = False


class Load(threading.Thread):
    """Sends `requests` in order. A request whose status is in `again` is sent anew, after
    `pause` seconds, until it gets another one. `rate` is requests a second, None = closed loop."""

    def __init__(
        self,
        port: int,
        requests: Sequence[bytes],
        connections: int = 32,
        rate: float | None = None,
        again: frozenset[int] = frozenset(),
        pause: float = 0.1,
        reconnect: bool = False,
    ):
        super().__init__(daemon=True)
        self.address = ("127.0.0.1", port)
        self.requests = requests
        self.rate = rate
        self.again = again
        self.pause = pause
        self.reconnect = reconnect  # a new connection for every request
        self.answers: list[Answer] = []
        self.refused = 0
        self.seconds = 0.0
        self._connections = [_Connection() for _ in range(connections)]
        self._repeat: list[tuple[float, int]] = []
        self._next = 0
        self._ended = threading.Event()
        self._poll = select.epoll()
        self._by_fd: dict[int, _Connection] = {}
        self._retry_at = 0.0

    # -- what a test asks --

    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in list(self.answers))

    def final(self) -> dict[int, Answer]:
        """The last answer of each request."""
        return {answer.index: answer for answer in self.answers}

    def stop(self) -> None:
        """Begins no further request; join() waits for those in flight."""
        self._ended.set()

    def finish(self, seconds: float) -> Load:
        self.join(seconds)
        assert not self.is_alive(), f"load not done in {seconds} s: {len(self.answers)} answers"
        return self

    # -- the loop --

    def run(self) -> None:
        begin = time.monotonic()
        self._begin = begin
        while True:
            now = time.monotonic()
            wait = self._start_due(now)
            busy = any(c.index is not None for c in self._connections)
            if not busy and wait is None:
                break
            for fd, _ in self._poll.poll(0.05 if wait is None else min(wait, 0.05)):
                if (connection := self._by_fd.get(fd)) is not None:
                    self._ready(connection)
        self.seconds = time.monotonic() - begin
        for connection in self._connections:
            self._close(connection)
        self._poll.close()

    def _start_due(self, now: float) -> float | None:
        """Starts what is due on idle connections; seconds until more is due, None: no more."""
        for connection in self._connections:
            if connection.index is not None:
                continue
            if now < self._retry_at:
                return self._retry_at - now
            if self._repeat and self._repeat[0][0] <= now:
                due, index = heapq.heappop(self._repeat)
            elif self._next < len(self.requests) and not self._ended.is_set():
                index = self._next
                due = now if self.rate is None else self._begin + index / self.rate
                if due > now:
                    return due - now
                self._next += 1
            else:
                break
            self._send(connection, index, due)
        if self._repeat and not self._ended.is_set():
            return max(0.0, self._repeat[0][0] - now)
        if self._next < len(self.requests) and not self._ended.is_set():
            return 0.05
        return None

    def _send(self, connection: _Connection, index: int, due: float) -> None:
        connection.index, connection.due = index, due
        connection.unsent = self.requests[index]
        if connection.socket is None:
            connection.socket = socket.socket()
            connection.socket.setblocking(False)
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connecting = True
            connection.buffer = b""
            connection.socket.connect_ex(self.address)
            self._by_fd[connection.socket.fileno()] = connection
            self._poll.register(connection.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
            return
        self._flush(connection)

    def _flush(self, connection: _Connection) -> None:
        try:
            sent = connection.socket.send(connection.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._broken(connection)
            return
        connection.unsent = connection.unsent[sent:]
        events = select.EPOLLIN | (select.EPOLLOUT if connection.unsent else 0)
        self._poll.modify(connection.socket.fileno(), events)

    def _ready(self, connection: _Connection) -> None:
        if connection.connecting:
            error = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.refused += 1
                self._retry_at = time.monotonic() + 0.02
                index, due = connection.index, connection.due
                self._close(connection)
                connection.index = None
                if not self._ended.is_set():
                    heapq.heappush(self._repeat, (due, index))
                return
            connection.connecting = False
        if connection.unsent:
            self._flush(connection)
            if connection.socket is None:
                return
        try:
            data = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._broken(connection)
            return
        connection.buffer += data
        self._answered(connection)

    def _answered(self, connection: _Connection) -> None:
        head, mark, rest = connection.buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        length = _LENGTH.search(head)
        size = int(length.group(1)) if length else 0
        if len(rest) < size:
            return
        closing = b"connection: close" in head.lower() or self.reconnect
        connection.buffer = rest[size:]
        self._note(connection, int(head[9:12]), rest[:size])
        if closing:
            self._close(connection)

    def _broken(self, connection: _Connection) -> None:
        """The peer has closed: an idle connection is dropped, a busy one lost its answer."""
        self._close(connection)
        if connection.index is not None:
            self._note(connection, RESET, b"")

    def _note(self, connection: _Connection, status: int, body: bytes) -> None:
        index, now = connection.index, time.monotonic()
        connection.index = None
        self.answers.append(Answer(index, status, body, connection.due, now))
        if status in self.again and not self._ended.is_set():
            heapq.heappush(self._repeat, (now + self.pause, index))

    def _close(self, connection: _Connection) -> None:
        if connection.socket is not None:
            self._by_fd.pop(connection.socket.fileno(), None)
            connection.socket.close()
            connection.socket = None
            connection.unsent = b""
