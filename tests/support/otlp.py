"""A collector of spans: takes OTLP over HTTP, decodes it, answers as told.

Bounds: keeps what it took; loopback only.
"""

from __future__ import annotations

import http.server
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

KINDS = {2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}


@dataclass
class Span:
    trace: str
    id: str
    parent: str  # empty: the root
    name: str
    kind: str
    begin: int  # nanoseconds since the epoch
    end: int
    failed: bool
    flags: int
    links: list[tuple[str, str]]
    attributes: dict[str, str | int]
    resource: dict[str, str | int] = field(default_factory=dict)

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace}-{self.id}-01"


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(tag, number or bytes) of each field of a message, in its order."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            (value,) = struct.unpack_from("<Q" if kind == 1 else "<I", data, at)
            at += size
        else:
            assert kind == 2, f"wire type {kind}"
            size, at = _varint(data, at)
            assert at + size <= len(data), "a field is cut short"
            value = data[at : at + size]
            at += size
        yield key >> 3, value


def _attribute(data: bytes) -> tuple[str, str | int]:
    pair = dict(_fields(data))
    ((tag, value),) = _fields(pair[2])
    assert tag in (1, 3), f"kind of value {tag}"
    return pair[1].decode(), value.decode() if tag == 1 else value


def _span(data: bytes) -> Span:
    one: dict[int, int | bytes] = {}
    attributes, links = {}, []
    for tag, value in _fields(data):
        if tag == 9:
            key, text = _attribute(value)
            assert key not in attributes, f"{key} is there twice"
            attributes[key] = text
        elif tag == 13:
            link = dict(_fields(value))
            links.append((link[1].hex(), link[2].hex()))
        else:
            one[tag] = value
    status = dict(_fields(one.get(15, b"")))
    return Span(
        trace=one[1].hex(),
        id=one[2].hex(),
        parent=one.get(4, b"").hex(),
        name=one[5].decode(),
        kind=KINDS[one[6]],
        begin=one[7],
        end=one[8],
        failed=status.get(3) == 2,
        flags=one[16],
        links=links,
        attributes=attributes,
    )


def decode(request: bytes) -> list[Span]:
    """The spans of an ExportTraceServiceRequest, each with the attributes of its resource."""
    spans = []
    for tag, resource_spans in _fields(request):
        assert tag == 1
        resource: dict[str, str | int] = {}
        found = []
        for part, value in _fields(resource_spans):
            if part == 1:
                resource = dict(_attribute(v) for t, v in _fields(value) if t == 1)
            elif part == 2:
                found += [_span(v) for t, v in _fields(value) if t == 2]
        for span in found:
            span.resource = resource
        spans += found
    return spans


class Collector:
    """Answers 200, or what `status` says; with certificate and key over TLS."""

    def __init__(self, cert: Path | None = None, key: Path | None = None):
        self.status = 200
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.path, headers, body))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # some tests want a refused handshake
        self.scheme = "http"
        if cert is not None:
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def spans(self) -> list[Span]:
        return [span for _, _, body in list(self.requests) for span in decode(body)]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
