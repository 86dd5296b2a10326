"""The tools of the scoreboard do what they say: proxy, endpoints, refusal of far targets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scoreboard.collect import parse_commit  # noqa: E402
from scoreboard.rows_detach import over_ramp  # noqa: E402
from support.endpoints import Behaviour, Endpoints  # noqa: E402
from support.load import Load  # noqa: E402
from support.proxy import FETCH, PRODUCE, Fault, Proxy, Rule, loopback  # noqa: E402
from support.shim import Shim  # noqa: E402
from support.wait import hold, until  # noqa: E402

KEY = b"tools-key-of-24-bytes-00"


class Echo:
    """Sends back what it gets, connection by connection."""

    def __init__(self) -> None:
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.echo, args=(peer,), daemon=True).start()

    @staticmethod
    def echo(peer: socket.socket) -> None:
        try:
            while data := peer.recv(65536):
                peer.sendall(data)
        except OSError:
            pass
        peer.close()


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    one = Echo()
    yield one
    one.listener.close()


@pytest.fixture(scope="module")
def plain(echo: Echo) -> Iterator[Proxy]:
    one = Proxy([echo.port])
    yield one
    one.close()


@pytest.fixture(scope="module")
def kafka(echo: Echo) -> Iterator[Proxy]:
    one = Proxy([echo.port], kafka=True)
    yield one
    one.close()


@pytest.fixture
def peer(plain: Proxy) -> Iterator[socket.socket]:
    plain.heal()
    with socket.create_connection(("127.0.0.1", plain.ports[0]), 5) as one:
        one.sendall(b"hello")
        assert one.recv(10) == b"hello"
        yield one
    plain.heal()


def took(peer: socket.socket, size: int = 5) -> float:
    begin = time.monotonic()
    peer.sendall(b"x" * size)
    left = size
    while left:
        left -= len(peer.recv(left))
    return time.monotonic() - begin


def test_latency_is_added_each_way(plain: Proxy, peer: socket.socket) -> None:
    plain.fault(up=Fault(latency=0.1), down=Fault(latency=0.1))
    assert 0.19 < took(peer) < 1.0
    plain.heal()
    assert took(peer) < 0.1


def test_latency_does_not_hold_up_the_next_piece(plain: Proxy, peer: socket.socket) -> None:
    plain.fault(up=Fault(latency=0.3))
    begin = time.monotonic()
    for _ in range(10):
        peer.sendall(b"x")
        hold(0.02)
    left = 10
    while left:
        left -= len(peer.recv(left))
    assert 0.3 < time.monotonic() - begin < 1.5


def test_bandwidth_is_kept(plain: Proxy, peer: socket.socket) -> None:
    plain.fault(down=Fault(bandwidth=100_000))
    assert 0.25 < took(peer, 30_000) < 2.0


def test_hang_holds_and_heals(plain: Proxy, peer: socket.socket) -> None:
    plain.fault(down=Fault(hang=True))
    peer.settimeout(0.3)
    peer.sendall(b"x")
    with pytest.raises(socket.timeout):
        peer.recv(1)
    plain.heal()
    peer.settimeout(5)
    assert peer.recv(1) == b"x"


def test_hang_ends_after_its_time(plain: Proxy, peer: socket.socket) -> None:
    plain.fault(down=Fault(hang=True, end_after=0.2))
    peer.sendall(b"x")
    assert peer.recv(1) == b""


def test_limit_cuts_after_so_many_bytes(plain: Proxy, peer: socket.socket) -> None:
    plain.fault(down=Fault(limit=3))
    peer.sendall(b"abcdef")
    got = b""
    while part := peer.recv(10):
        got += part
    assert got == b"abc"


def test_reset_is_a_reset(plain: Proxy, peer: socket.socket) -> None:
    plain.fault(up=Fault(reset=True))
    peer.sendall(b"x")
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


def test_slicer_keeps_the_bytes(plain: Proxy, peer: socket.socket) -> None:
    plain.fault(down=Fault(slice=7, slice_pause=0.002))
    assert took(peer, 700) > 0.15


def test_slow_close_ends_late(plain: Proxy, peer: socket.socket) -> None:
    plain.fault(down=Fault(slow_close=0.3))
    begin = time.monotonic()
    peer.shutdown(socket.SHUT_WR)
    assert peer.recv(1) == b"" and time.monotonic() - begin > 0.25


def test_refuse_refuses_and_heals(plain: Proxy, peer: socket.socket) -> None:
    plain.refuse()
    assert peer.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", plain.ports[0]), 5)
    plain.heal()
    socket.create_connection(("127.0.0.1", plain.ports[0]), 5).close()


def frame(api: int, number: int) -> bytes:
    body = struct.pack(">hhi", api, 7, number) + b"payload"
    return struct.pack(">i", len(body)) + body


class FakeBroker(Echo):
    """Answers each request with its number and the word `answer`."""

    @staticmethod
    def echo(peer: socket.socket) -> None:
        stream = peer.makefile("rb")
        try:
            while size := stream.read(4):
                request = stream.read(struct.unpack(">i", size)[0])
                answer = request[4:8] + b"answer"
                peer.sendall(struct.pack(">i", len(answer)) + answer)
        except OSError:
            pass
        peer.close()


def answers(peer: socket.socket, seconds: float = 0.3) -> list[int]:
    """Numbers of the answers that come within so long."""
    got = b""
    peer.settimeout(seconds)
    try:
        while part := peer.recv(4096):
            got += part
    except socket.timeout:
        pass
    return [struct.unpack(">i", got[at + 4 : at + 8])[0] for at in range(0, len(got), 14)]


@pytest.fixture
def broker() -> Iterator[tuple[Proxy, socket.socket]]:
    fake = FakeBroker()
    proxy = Proxy([fake.port], kafka=True)
    with socket.create_connection(("127.0.0.1", proxy.ports[0]), 5) as one:
        yield proxy, one
    proxy.close()
    fake.listener.close()


def test_answer_of_one_api_is_dropped(broker) -> None:
    proxy, peer = broker
    proxy.rule(Rule(PRODUCE, "drop", skip=1, times=1))
    for number in range(3):
        peer.sendall(frame(PRODUCE, number) + frame(FETCH, 100 + number))
    assert answers(peer) == [0, 100, 101, 2, 102]
    assert proxy.answers(PRODUCE) == 3 and proxy.hits() == 1


def test_answer_is_held_back_until_healed(broker) -> None:
    proxy, peer = broker
    proxy.rule(Rule(PRODUCE, "hold", times=1))
    peer.sendall(frame(FETCH, 1) + frame(PRODUCE, 2) + frame(FETCH, 3))
    assert answers(peer) == [1]
    proxy.heal()
    assert answers(peer) == [2, 3]


def test_answer_is_replaced_by_a_reset_after_the_broker_gave_it(broker) -> None:
    proxy, peer = broker
    proxy.rule(Rule(PRODUCE, "reset", times=1))
    peer.sendall(frame(PRODUCE, 2))
    with pytest.raises(ConnectionResetError):
        peer.recv(1)
    assert proxy.answers(PRODUCE) == 1


# -- endpoints --


@pytest.fixture(scope="module")
def endpoints() -> Iterator[Endpoints]:
    one = Endpoints()
    one.keys(KEY)
    yield one
    one.close()


def callback(path: str, event: str, body: bytes = b"{}", attempt: int = 1, key: bytes = KEY):
    stamp = str(int(time.time())).encode()
    signed = event.encode() + b"." + stamp + b"." + body
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    lines = [b"POST " + path.encode() + b" HTTP/1.1", b"Host: callback.test"]
    lines += [b"webhook-id: " + event.encode(), b"webhook-timestamp: " + stamp]
    lines += [b"webhook-signature: v1," + mac, b"Content-Length: " + str(len(body)).encode()]
    if attempt > 1:
        lines.append(b"Eventrelay-Attempt: " + str(attempt).encode())
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def send(endpoints: Endpoints, *requests: bytes, seconds: float = 20, **options) -> Load:
    load = Load(endpoints.port, requests, options.pop("connections", 1), **options)
    load.start()
    return load.finish(seconds)


def test_row_holds_bytes_attempt_and_signature(endpoints: Endpoints) -> None:
    endpoints.clear()
    send(
        endpoints,
        callback("/a", "e1", b"one"),
        callback("/a", "e2", b"two", attempt=3),
        callback("/b", "e3", b"three", key=b"another-key"),
        callback("/b", "e4", b"four").replace(b"four", b"fouR"),
    )
    rows = endpoints.rows()
    assert [(r.path, r.event, r.attempt, r.status, r.signed) for r in rows] == [
        ("/a", "e1", 1, 200, True),
        ("/a", "e2", 3, 200, True),
        ("/b", "e3", 1, 200, False),
        ("/b", "e4", 1, 200, False),
    ]
    assert rows[0].digest == hashlib.blake2b(b"one", digest_size=16).digest()
    assert abs(rows[0].stamp - time.time()) < 10 and rows[0].at <= rows[0].done
    assert endpoints.taken_by_path() == {"/a": 2, "/b": 2}


def test_statuses_follow_script_event_and_object(endpoints: Endpoints) -> None:
    endpoints.clear()
    endpoints.set("/s", Behaviour(script=[500, 429]))
    load = send(endpoints, *[callback("/s", f"e{n}") for n in range(3)])
    assert [a.status for a in load.answers] == [500, 429, 200]
    endpoints.set("/p", Behaviour(per_event=[503]))
    load = send(endpoints, *[callback("/p", e) for e in ("x", "y", "x", "y")])
    assert [a.status for a in load.answers] == [503, 503, 200, 200]
    endpoints.set("/o", Behaviour(only={"thing-7": 500}))
    load = send(endpoints, callback("/o", "a", b"thing-6"), callback("/o", "b", b"thing-7"))
    assert [a.status for a in load.answers] == [200, 500]


def test_rate_is_not_passed(endpoints: Endpoints) -> None:
    endpoints.set("/r", Behaviour(rate=50))
    load = send(endpoints, *[callback("/r", f"e{n}") for n in range(20)], connections=10)
    assert 0.35 < load.seconds < 2.0


def test_flapping_endpoint_fails_and_recovers(endpoints: Endpoints) -> None:
    endpoints.set("/f", Behaviour(up=0.2, down=0.2))
    load = send(endpoints, *[callback("/f", f"e{n}") for n in range(60)], rate=100)
    counts = load.statuses()
    assert counts[200] >= 15 and counts[503] >= 15


def test_reset_drip_hang_and_endless(endpoints: Endpoints) -> None:
    endpoints.set("/reset", Behaviour(reset=True))
    assert send(endpoints, callback("/reset", "e")).answers[0].status == 0
    for path, behaviour in (
        ("/head", Behaviour(hang="head")),
        ("/body", Behaviour(hang="body")),
        ("/drip", Behaviour(drip=0.05)),
        ("/big", Behaviour(endless="body")),
        ("/many", Behaviour(endless="headers")),
    ):
        endpoints.clear()
        endpoints.set(path, behaviour)
        with socket.create_connection(("127.0.0.1", endpoints.port), 5) as peer:
            peer.sendall(callback(path, "e"))
            peer.settimeout(0.4)
            got = 0
            begin = time.monotonic()
            while time.monotonic() - begin < 0.4:
                try:
                    got += len(peer.recv(1 << 20))
                except socket.timeout:
                    break
        least, most = {
            "/head": (0, 0),
            "/body": (30, 60),
            "/drip": (3, 12),
            "/big": (1 << 20, 1 << 40),
            "/many": (1 << 18, 1 << 40),
        }[path]
        assert least <= got <= most, path
        # Given up by its client: delivered if it was told a whole status line, else not answered.
        until(lambda: endpoints.rows(), 5, "a row")
        told = 200 if path in ("/body", "/big", "/many") else 0
        assert [row.status for row in endpoints.rows()] == [told], path
        until(lambda p=path: endpoints.longest(p) > 0.3, 5, "the end of it")


def test_open_requests_wait_for_the_rest_and_do_not_count_once_given_up(
    endpoints: Endpoints,
) -> None:
    for path, behaviour in (("/h", Behaviour(hang="head")), ("/b", Behaviour(hang="body"))):
        endpoints.clear()
        endpoints.set(path, behaviour)
        for _ in range(5):  # two at once, given up before the next two
            pair = [socket.create_connection(("127.0.0.1", endpoints.port), 5) for _ in range(2)]
            for number, peer in enumerate(pair):
                peer.sendall(callback(path, f"e{number}"))
            until(lambda p=path: endpoints.open_most(p) == 2, 5, "both are open")
            for peer in pair:
                peer.close()
        assert endpoints.open_most(path) == 2


def test_connecting_to_the_full_port_hangs(endpoints: Endpoints) -> None:
    with pytest.raises(socket.timeout):
        socket.create_connection(("127.0.0.1", endpoints.full), 0.4).close()
    with socket.create_connection(("127.0.0.1", endpoints.hanging), 1) as peer:
        peer.settimeout(0.2)
        peer.sendall(b"hello")
        with pytest.raises(socket.timeout):
            peer.recv(1)


# -- nothing leaves the machine --


@pytest.mark.parametrize("host", ["8.8.8.8", "169.254.169.254", "10.0.0.1", "::", "2001:db8::1"])
def test_far_targets_are_refused(host: str) -> None:
    with pytest.raises(ValueError, match="not a loopback"):
        loopback(host)
    with pytest.raises(ValueError, match="not a loopback"):
        Proxy([80], host=host)


def test_loopback_is_taken() -> None:
    assert loopback("127.0.0.1") and loopback("127.255.0.3") and loopback("::1")


def test_shim_tells_connections_and_moves_the_clock(tmp_path: Path, echo: Echo) -> None:
    shim = Shim(tmp_path)
    code = "import socket,sys,time; a=time.time(); m=time.monotonic()\n"
    code += f"socket.create_connection(('127.0.0.1', {echo.port})).close()\n"
    code += "open(sys.argv[1], 'r+b').write((3600*10**9).to_bytes(8, 'little'))\n"
    code += "print(time.time() - a, time.monotonic() - m)"
    done = subprocess.run(
        ["/usr/bin/python3", "-c", code, str(shim.clock)],
        env=os.environ | shim.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    wall, monotonic = map(float, done.stdout.split())
    assert 3600 <= wall < 3610 and monotonic < 10
    assert shim.connected() == ["127.0.0.1"]


# -- commits as the broker stores them --


def text(word: str) -> bytes:
    return struct.pack(">h", len(word)) + word.encode()


def test_commit_record_is_read() -> None:
    key = struct.pack(">h", 1) + text("group") + text("topic") + struct.pack(">i", 4)
    value = struct.pack(">hqi", 3, 77, -1) + text("1:2,3") + struct.pack(">q", 1_700_000_000_123)
    commit = parse_commit(key, value)
    assert commit == ("group", "topic", 4, 77, "1:2,3", 1_700_000_000.123)
    old = struct.pack(">hq", 1, 78) + text("") + struct.pack(">qq", 1_700_000_000_000, 0)
    assert parse_commit(key, old)[3:5] == (78, "")
    assert parse_commit(struct.pack(">h", 2) + text("group"), b"") is None, "a group, no commit"
    assert parse_commit(key, None) is None, "a tombstone"
    assert json.dumps(commit)


def test_a_second_over_the_slow_start_is_found() -> None:
    ramp = [100 + n / 100 for n in range(500)] + [105 + n / 200 for n in range(1000)]
    assert over_ramp(ramp, 100) == (200, 1.0)
    assert over_ramp(ramp, 50)[1] == 2.0
    early = [100 + n / 100 for n in range(400)] + [104 + n / 200 for n in range(1000)]
    assert over_ramp(early, 100)[1] > 1.5
    assert over_ramp(early, 100, before=1.1)[1] == 1.0
