"""Every answer of ingest over raw sockets: whole, byte by byte, and behind a good one."""

from __future__ import annotations

import json
import re
import socket
import time
from dataclasses import dataclass
from typing import Iterator

import pytest
from support import box
from support.programs import Program
from support.stack import INSTANCE, V1_TOKEN, Stack, new_stack
from support.wait import hold
from support.wire import Reply, exchange

BODY = box.body(1)
PATH = box.path(INSTANCE)
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


def v2(raw: bytes = BODY, target: str = PATH, drop: str = "", extra=(), **options) -> bytes:
    headers = [JSON, *box.v2_headers(raw, **options), *extra]
    headers = [h for h in headers if h[0] != drop]
    return box.http("POST", target, headers, raw)


def change(name: str, value: str, raw: bytes = BODY) -> bytes:
    """A signed request with one header of it changed."""
    headers = [(n, value if n == name else v) for n, v in [JSON, *box.v2_headers(raw)]]
    return box.http("POST", PATH, headers, raw)


def signed(raw: bytes) -> bytes:
    return v2(raw)


def plain(text: str, raw: bytes = b"") -> bytes:
    return text.replace("\n", "\r\n").encode("latin-1") + raw


PRIMARY, SECONDARY = "BOX-SIGNATURE-PRIMARY", "BOX-SIGNATURE-SECONDARY"
AT = "BOX-DELIVERY-TIMESTAMP"
OLD = box.stamp(-900)
UNPADDED = PATH.rstrip("=")
HEAD = f"POST {PATH} HTTP/1.1\nHost: a\n"
TOKEN_FORM = box.v1_form(["226067247"], "5", V1_TOKEN)
# The shared token is cut out before the record is written: it never reaches Kafka.
STORED_FORM = re.sub(rb"&?token=[^&]*", b"", TOKEN_FORM)
V1 = f"{box.BASE}/events/box"


# Sent byte by byte, a line that ends without CR leaves the head unfinished.
NEVER_ENDS = {("bare LF", "byte by byte"): 408}


@dataclass
class Row:
    name: str
    raw: bytes
    status: int
    closes: bool | None = None  # None: either
    header: tuple[str, str] | None = None


def rows() -> Iterator[Row]:
    yield Row("genuine", v2(), 202, False)
    yield Row("unpadded id", v2(target=UNPADDED), 202, False)
    escaped = PATH.replace("=", "%3D")
    yield Row("escaped padding", v2(target=escaped), 202, False)
    yield Row("decimal id", v2(target=f"{V1}/{INSTANCE}"), 202, False)
    yield Row("primary alone", v2(drop=SECONDARY), 202, False)
    yield Row("secondary alone", v2(drop=PRIMARY), 202, False)
    yield Row("one minute ahead at most", v2(at=box.stamp(30)), 202, False)
    yield Row("close is honoured", v2(extra=[("Connection", "close")]), 202, True)
    yield Row("charset", change("Content-Type", "application/json; charset=utf-8"), 202)
    yield Row("empty additional field", v2(extra=[("X-Empty", "")]), 202, False)
    yield Row("slash behind the id", v2(target=PATH + "/"), 202, False)
    yield Row("slash behind the element", v2(target=f"{V1}/{INSTANCE}/"), 202, False)
    yield Row("absolute target", v2(target=f"http://relay.example{PATH}"), 202, False)
    yield Row("empty lines before", b"\r\n\r\n" + v2(), 202, False)
    yield Row("underscore", v2(extra=[("X_Y", "a"), ("Content_Length", "5")]), 202, False)
    yield Row("V1 form", box.v1_request(["226067247"], "5", V1_TOKEN), 202, False)
    yield Row("V1 unknown users", box.v1_request(["1"], "5", V1_TOKEN), 200, False)

    yield Row("not JSON", signed(b"{]"), 400, False)
    yield Row("cut JSON", signed(BODY[:-1]), 400, False)
    yield Row("two documents", signed(BODY + b"{}"), 400, False)
    yield Row("empty body", signed(b""), 400)
    yield Row("base64 of signature", change(PRIMARY, "%%%"), 400)
    yield Row("two primaries", v2(extra=[(PRIMARY, "AAAA")]), 400)
    twice = [("Content-Length", "5"), ("Content-Length", "5")]
    yield Row("two lengths", v2(extra=twice), 400, True)
    yield Row("length not a number", v2(extra=[("Content-Length", "+5")]), 400, True)
    yield Row("length of 2^64", v2(extra=[("Content-Length", str(2**64))]), 400, True)
    yield Row("timestamp form", v2(at="2026-01-01 00:00:00"), 400)
    yield Row("timestamp range", v2(at="2026-13-41T00:00:00Z"), 400)
    yield Row("not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, True)
    yield Row("no Host", plain(f"POST {PATH} HTTP/1.1\nContent-Length: 0\n\n"), 400, True)
    yield Row("two Hosts", plain(HEAD + "Host: b\nContent-Length: 0\n\n"), 400, True)
    yield Row("folded line", plain(HEAD + "X: a\n b\nContent-Length: 0\n\n"), 400, True)
    yield Row("blank before colon", plain(HEAD + "X : a\nContent-Length: 0\n\n"), 400, True)
    yield Row("control character", plain(HEAD + "X: a\x01b\nContent-Length: 0\n\n"), 400, True)
    yield Row("bare LF", HEAD.encode() + b"Content-Length: 0\n\n", 400, True)
    yield Row("absolute, no path", plain("POST http://a HTTP/1.1\nHost: a\n\n"), 400, True)
    yield Row("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, True)
    smuggled = "Content-Length: 4\nTransfer-Encoding: chunked\n\n0\n\n"
    yield Row("length and chunked", plain(HEAD + smuggled), 400, True)

    yield Row("not signed", v2(drop=PRIMARY).replace(SECONDARY.encode(), b"X-Sig"), 401, False)
    yield Row("wrong key", v2(keys=("x", "y")), 401, False)
    yield Row("crossed slots", v2(keys=(box.SECONDARY, box.PRIMARY)), 401, False)
    yield Row("no timestamp", v2(drop=AT), 401, False)
    yield Row("too old", v2(at=OLD), 401, False)
    yield Row("too new", v2(at=box.stamp(300)), 401, False)
    yield Row("version 2", change("BOX-SIGNATURE-VERSION", "2"), 401, False)
    yield Row("another algorithm", change("BOX-SIGNATURE-ALGORITHM", "HmacSHA1"), 401, False)
    yield Row("body changed", v2().replace(b"FILE.UPLOADED", b"FILE.DOWNLOAD"), 401, False)
    yield Row("V1 without token", box.v1_request(["226067247"], "5", None), 401, False)
    yield Row("V1 wrong token", box.v1_request(["226067247"], "5", "wrong"), 401, False)

    yield Row("unknown path", plain("GET / HTTP/1.1\nHost: a\n\n"), 404)
    yield Row("metrics are not public", plain("GET /metrics HTTP/1.1\nHost: a\n\n"), 404)
    yield Row("health is not public", plain("GET /healthz HTTP/1.1\nHost: a\n\n"), 404)
    yield Row("unknown element", v2(target=f"{box.BASE}/events/sharepoint/{INSTANCE}"), 404, None)
    yield Row("unknown instance", v2(target=f"{V1}/999999"), 404, None)
    yield Row("id of nothing", v2(target=f"{V1}/AAAA"), 404, None)
    yield Row("id too long", v2(target=f"{V1}/{'9' * 40}"), 404, None)

    delete = f"DELETE {PATH} HTTP/1.1\nHost: a\nContent-Length: 0\n\n"
    yield Row("DELETE", plain(delete), 405, None, ("allow", "POST"))

    yield Row("chunked", plain(HEAD + "Transfer-Encoding: chunked\n\n0\n\n"), 411, True)
    yield Row("gzip coding", plain(HEAD + "Transfer-Encoding: gzip\n\n"), 411, True)
    over = v2().replace(f"Content-Length: {len(BODY)}".encode(), b"Content-Length: 1048577")
    yield Row("body over its limit", over, 413, True)
    yield Row("target over its limit", v2(target=PATH + "?" + "a" * 5000), 414, True)
    yield Row("one huge field", v2(extra=[("X-Big", "a" * 20000)]), 431, True)
    yield Row("many fields", v2(extra=[(f"X-{i}", "a") for i in range(200)]), 431, True)
    yield Row("gzip body", v2(extra=[("Content-Encoding", "gzip")]), 415)
    yield Row("XML", change("Content-Type", "application/xml"), 415)


ROWS = list(rows())


def fresh(name: str) -> Row:
    """A row signed now: the window of a signature is shorter than a run of all tests may be."""
    return next(row for row in rows() if row.name == name)


@pytest.fixture(scope="module")
def served(kafka, tmp_path_factory) -> Iterator[tuple[Stack, Program]]:
    stack = new_stack(kafka, tmp_path_factory.mktemp("answers"), "answers")
    entry = {
        "event.notification.enabled": True,
        "event.notification.callback.url": "https://callback.invalid/x",
        "event.notification.signature.key": "k" * 16,
        "oauth.user.id": "226067247",
    }
    stack.config["instances"].append(
        {"id": INSTANCE, "name": "a", "element": "box", "configuration": entry}
    )
    yield stack, stack.ingest()
    stack.close()


def check(row: Row, reply: Reply) -> None:
    assert reply.status == row.status, reply
    if row.header is not None:
        assert row.header[1] in reply.headers[row.header[0]]
    body = json.loads(reply.body)
    if row.status == 202:
        assert len(body["eventIds"]) == 1
    elif row.status == 200:
        assert body["eventIds"] == [] and body["reason"]
    else:
        assert body["message"] and body["requestId"]
        assert set(body) <= {"message", "requestId", "providerMessage"}
        assert reply.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("name", [row.name for row in ROWS])
@pytest.mark.parametrize("how", ["whole", "byte by byte", "behind a good one"])
def test_answer(served: tuple[Stack, Program], name: str, how: str) -> None:
    _, ingest = served
    row = fresh(name)
    if how == "behind a good one":
        got = exchange(ingest.port, v2() + row.raw, replies=2)
        assert got.replies[0].status == 202
        replies = got.replies[1:]
    else:
        got = exchange(ingest.port, row.raw, step=1 if how == "byte by byte" else 0)
        replies = got.replies
    assert len(replies) == 1, got
    row.status = NEVER_ENDS.get((name, how), row.status)
    check(row, replies[0])
    if row.closes is not None:
        assert got.closed == row.closes


def test_rows_cover_the_table() -> None:
    asked = {row.status for row in ROWS}
    assert asked >= {200, 202, 400, 401, 404, 405, 411, 413, 414, 415, 431}


def test_only_accepted_requests_are_in_kafka(served: tuple[Stack, Program]) -> None:
    stack, ingest = served
    good = exchange(ingest.port, v2())
    (event_id,) = json.loads(good.replies[0].body)["eventIds"]
    records = stack.records()
    assert event_id in {record.headers["er-id"] for record in records}
    for record in records:
        assert record.value in (BODY, STORED_FORM)


def test_nothing_behind_a_refused_request_is_served(served: tuple[Stack, Program]) -> None:
    """Whatever follows an ambiguous request on its connection is never read as a request."""
    _, ingest = served
    for row in rows():
        if row.closes and row.status != 202:
            got = exchange(ingest.port, row.raw + v2(), replies=2, seconds=3)
            assert [reply.status for reply in got.replies] == [row.status], row.name
            assert got.closed, row.name


def test_pipelined_requests_are_answered_in_order(served: tuple[Stack, Program]) -> None:
    _, ingest = served
    raws = [box.body(number) for number in range(20)]
    got = exchange(ingest.port, b"".join(v2(raw) for raw in raws), replies=20)
    assert [reply.status for reply in got.replies] == [202] * 20
    assert not got.closed


def test_expect_continue_is_answered_before_the_body(served: tuple[Stack, Program]) -> None:
    _, ingest = served
    raw = v2(extra=[("Expect", "100-continue")])
    head, _, body = raw.partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", ingest.port), 5) as peer:
        peer.sendall(head + b"\r\n\r\n")
        assert peer.recv(100).startswith(b"HTTP/1.1 100 ")
        peer.sendall(body)
        assert peer.recv(1000).startswith(b"HTTP/1.1 202 ")


def test_slow_head_and_slow_body_are_answered_408(served: tuple[Stack, Program]) -> None:
    _, ingest = served
    head, _, body = v2().partition(b"\r\n\r\n")
    begin = time.monotonic()
    slow_head = exchange(ingest.port, head, seconds=30)
    assert [reply.status for reply in slow_head.replies] == [408] and slow_head.closed
    assert time.monotonic() - begin < 15
    slow_body = exchange(ingest.port, head + b"\r\n\r\n" + body[:10], seconds=40)
    assert [reply.status for reply in slow_body.replies] == [408] and slow_body.closed


def test_connection_of_a_client_that_goes_away_is_dropped(served: tuple[Stack, Program]) -> None:
    _, ingest = served
    raw = v2()
    for cut in (1, 20, len(raw) // 2, len(raw) - 1):
        with socket.create_connection(("127.0.0.1", ingest.port), 5) as peer:
            peer.sendall(raw[:cut])
    assert exchange(ingest.port, raw).replies[0].status == 202
    assert ingest.alive()


@pytest.mark.parametrize("target", ["/", PATH, f"{V1}?token={V1_TOKEN}&userId=226067247"])
def test_a_head_gets_no_body_and_stores_nothing(
    served: tuple[Stack, Program], target: str
) -> None:
    stack, ingest = served
    before = len(stack.records())
    with socket.create_connection(("127.0.0.1", ingest.port), 5) as peer:
        peer.settimeout(5)
        peer.sendall(box.http("HEAD", target, []))
        head = peer.recv(1000)
        assert head.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 405 "))
        assert head.index(b"\r\n\r\n") == len(head) - 4 and b"Content-Length: " in head
        assert len(stack.records()) == before
        peer.sendall(v2())
        assert peer.recv(1000).startswith(b"HTTP/1.1 202 ")


def test_app_wide_url_names_instances_in_a_header(served: tuple[Stack, Program]) -> None:
    _, ingest = served
    named = v2(target=V1, extra=[("Element-Instances", str(INSTANCE))])
    assert exchange(ingest.port, named).replies[0].status == 202
    unknown = v2(target=V1, extra=[("Element-Instances", f"{INSTANCE},7")])
    assert exchange(ingest.port, unknown).replies[0].status == 404
    broken = v2(target=V1, extra=[("Element-Instances", "a,b")])
    assert exchange(ingest.port, broken).replies[0].status == 400


def test_a_refused_request_is_found_in_the_log_by_its_id(served: tuple[Stack, Program]) -> None:
    _, ingest = served
    reply = exchange(ingest.port, v2(target=PATH + "?token=planted", drop=AT)).replies[0]
    assert reply.status in (400, 401)
    told = json.loads(reply.body)
    hold(1.1)  # at most ten such lines a second
    again = json.loads(exchange(ingest.port, change(AT, OLD)).replies[0].body)
    lines = {line["requestId"]: line for line in ingest.said("request refused")}
    assert lines[again["requestId"]]["status"] == 401
    assert lines[again["requestId"]]["reason"] == again["message"]
    assert lines[again["requestId"]]["path"] == PATH
    assert told["requestId"] != again["requestId"] and "planted" not in ingest.log()
