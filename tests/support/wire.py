"""Raw HTTP/1.1 over a socket: what was sent is exactly what the peer got."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Exchange:
    replies: list[Reply]
    closed: bool  # the peer ended the connection


def _take(buffer: bytes) -> tuple[Reply, bytes] | None:
    head, mark, rest = buffer.partition(b"\r\n\r\n")
    if not mark:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
    size = int(headers.get("content-length", 0))
    if len(rest) < size:
        return None
    return Reply(int(first.split(" ")[1]), headers, rest[:size]), rest[size:]


def exchange(
    port: int,
    raw: bytes,
    replies: int = 1,
    step: int = 0,
    seconds: float = 10.0,
    linger: float = 0.1,
) -> Exchange:
    """Sends `raw` (in pieces of `step` bytes if given), reads until `replies` final answers are
    there or the peer closes, then looks `linger` seconds whether it closes."""
    with socket.create_connection(("127.0.0.1", port), seconds) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for at in range(0, len(raw), step or len(raw)):
                peer.sendall(raw[at : at + (step or len(raw))])
        except OSError:
            pass  # refused before all was read; the answer may still be there
        found: list[Reply] = []
        buffer, closed = b"", False
        deadline = time.monotonic() + seconds
        while not closed and time.monotonic() < deadline:
            done = sum(reply.status >= 200 for reply in found) >= replies
            peer.settimeout(linger if done else max(0.01, deadline - time.monotonic()))
            try:
                data = peer.recv(65536)
            except socket.timeout:
                if done:
                    break
                continue
            except OSError:
                data = b""
            closed = not data
            buffer += data
            while (taken := _take(buffer)) is not None:
                found.append(taken[0])
                buffer = taken[1]
        return Exchange(found, closed)
