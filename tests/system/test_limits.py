"""Who asks for too much takes nothing from others: ports, descriptors, the admin listener."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from support import box
from support.programs import BIN, run
from support.stack import INSTANCE, Stack
from support.tls import Authority
from support.wait import until
from support.wire import exchange


def status(port: int, raw: bytes) -> int:
    replies = exchange(port, raw).replies
    return replies[0].status if replies else 0


def test_two_processes_never_share_a_port(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    stack.config["ingest"]["shards"] = 2
    first = stack.ingest()
    other = json.loads(json.dumps(stack.config))
    for listen in (f"127.0.0.1:{first.port}", f"0.0.0.0:{first.port}"):
        other["ingest"]["listen"] = [listen]
        path = stack.directory / "second.yaml"
        path.write_text(json.dumps(other))
        done = run("eventrelay-ingest", "-c", str(path))
        assert done.returncode == 1
        assert b"in use" in done.stderr and str(first.port).encode() in done.stderr
    done = run("eventrelay", "dev", "--once", "--listen", f"127.0.0.1:{first.port}")
    assert done.returncode == 1
    assert b"in use" in done.stderr and str(first.port).encode() in done.stderr
    # Both shards of the first still serve all that comes.
    for number in range(20):
        raw = box.v2_request(INSTANCE, box.body(number))
        assert status(first.port, raw) == 202


def test_clients_leave_descriptors_for_kafka(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    path = str(stack.write())
    limited = subprocess.Popen(
        ["prlimit", "--nofile=256:256", str(BIN / "eventrelay-ingest"), "-c", path],
        stdout=subprocess.DEVNULL,
        stderr=(stack.directory / "limited.log").open("wb"),
    )
    clients: list[socket.socket] = []
    try:
        log = stack.directory / "limited.log"

        def ready() -> dict | None:
            for line in log.read_text().splitlines():
                if '"msg":"ready"' in line:
                    return json.loads(line)
            return None

        said = until(ready, 20, "ready")
        port = int(said["listen"].rsplit(":", 1)[1])
        for _ in range(300):
            peer = socket.create_connection(("127.0.0.1", port), 5)
            clients.append(peer)

        def used() -> int:
            return len(list(Path(f"/proc/{limited.pid}/fd").iterdir()))

        until(lambda: used() >= 192, 10, "clients have all that they may have")
        for _ in range(50):
            assert used() <= 256 - 24, "clients took the reserve"
        for peer in clients:
            peer.close()
        raw = box.v2_request(INSTANCE, box.body(1))
        until(lambda: status(port, raw) == 202, 10, "an event is taken")
    finally:
        for peer in clients:
            peer.close()
        limited.terminate()
        limited.wait(20)


def half_handshake(port: int, hello: bytes) -> socket.socket:
    """A client that says hello and hears the server out, and then says nothing."""
    peer = socket.create_connection(("127.0.0.1", port), 5)
    peer.sendall(hello)
    return peer


def client_hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), out)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def tls_status(port: int, raw: bytes) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            with context.wrap_socket(plain) as peer:
                peer.sendall(raw)
                return int(peer.recv(4096).split(b" ")[1])
    except OSError:
        return 0


@pytest.fixture
def secured(stack: Stack, receiver, tmp_path: Path) -> Stack:
    """With TLS at the door and little memory."""
    cert, key = Authority(tmp_path).issue("ingest", "IP:127.0.0.1")
    stack.config["ingest"]["tls"] = {"cert": str(cert), "key": str(key)}
    stack.config["ingest"]["memory_max"] = "16MiB"
    stack.add_instance(receiver)
    return stack


def test_half_handshakes_cost_bounded_memory_and_shut_nobody_out(secured: Stack, report) -> None:
    ingest = secured.ingest()
    before, hello = ingest.rss(), client_hello()
    peers = [half_handshake(ingest.port, hello) for _ in range(3000)]
    try:
        raw = box.v2_request(INSTANCE, box.body(1))
        until(lambda: tls_status(ingest.port, raw) == 202, 10, "a genuine client is served")
        most = ingest.rss()
        assert ingest.metric("eventrelay_ingest_connections") <= 1100
    finally:
        for peer in peers:
            peer.close()
    until(lambda: ingest.metric("eventrelay_ingest_connections") < 10, 20, "they are gone")
    until(lambda: ingest.rss() - before < 30 * 2**20, 10, "the memory is given back")
    report(f"{(most - before) / 2**20:.0f} MiB more for 3,000, {ingest.rss() - before:,} after")
    assert most - before < 80 * 2**20
    assert tls_status(ingest.port, box.v2_request(INSTANCE, box.body(2))) == 202


@pytest.mark.parametrize("limit", [500, 700])
def test_too_little_address_space_costs_clients_and_not_the_service(
    secured: Stack, limit: int
) -> None:
    secured.config["ingest"]["memory_max"] = "256MiB"
    secured.config["ingest"]["handshakes_max"] = 65536
    log = secured.directory / "limited.log"
    limited = subprocess.Popen(
        ["prlimit", f"--as={limit * 2**20}", str(BIN / "eventrelay-ingest")]
        + ["-c", str(secured.write())],
        stdout=subprocess.DEVNULL,
        stderr=log.open("wb"),
    )

    def ready() -> dict | None:
        found = [json.loads(x) for x in log.read_text().splitlines() if '"msg":"ready"' in x]
        return found[0] if found else None

    peers: list[socket.socket] = []
    try:
        said = until(ready, 20, "ready")
        port = int(said["listen"].rsplit(":", 1)[1])
        hello = client_hello()
        for _ in range(6000):
            try:
                peers.append(half_handshake(port, hello))
            except OSError:
                break
        for peer in peers:
            peer.close()
        assert limited.poll() is None, log.read_text()[-2000:]
        raw = box.v2_request(INSTANCE, box.body(1))
        until(lambda: tls_status(port, raw) == 202, 20, "accepting goes on", pause=0.2)
    finally:
        for peer in peers:
            peer.close()
        limited.terminate()
        limited.wait(20)


def test_probes_get_through_silent_connections_and_wrong_tokens(
    stack: Stack, receiver, tmp_path: Path
) -> None:
    stack.add_instance(receiver)
    token = tmp_path / "token"
    token.write_text("planted-admin-token\n")
    stack.config["admin"] = {"listen": "127.0.0.1:0", "token_file": str(token)}
    ingest = stack.start("ingest", ready=False)
    ingest.wait_ready()
    silent = [socket.create_connection(("127.0.0.1", ingest.admin), 5) for _ in range(200)]
    try:
        for _ in range(25):
            assert ingest.get("/healthz")[0] == 200
    finally:
        for peer in silent:
            peer.close()
    begin = time.monotonic()
    peer = http.client.HTTPConnection("127.0.0.1", ingest.admin, timeout=10)
    for _ in range(13):
        peer.request("GET", "/metrics", headers={"Authorization": "Bearer wrong"})
        answer = peer.getresponse()
        assert answer.status == 401
        answer.read()
    assert time.monotonic() - begin >= 2.5  # the first ten are answered at once
    peer.request("GET", "/metrics", headers={"Authorization": "Bearer planted-admin-token"})
    answer = peer.getresponse()
    page = answer.read().decode()
    assert answer.status == 200 and "\neventrelay_admin_refused_total 13\n" in page
    assert len(ingest.said("admin token missing or wrong")) == 1


@pytest.mark.parametrize("host", ["rebound.example", "127.0.0.1.rebound.example"])
def test_another_site_gets_nothing_of_the_admin_listener(stack: Stack, receiver, host) -> None:
    stack.add_instance(receiver)
    ingest = stack.start("ingest", ready=False)
    ingest.wait_ready()

    def ask(method: str, path: str, **headers: str) -> int:
        peer = http.client.HTTPConnection("127.0.0.1", ingest.admin, timeout=10)
        peer.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        return peer.getresponse().status

    for path in ("/healthz", "/readyz", "/metrics", "/version", "/api/v1/status"):
        assert ask("GET", path) == 200
        assert ask("GET", path, Host=host) == 403
        assert ask("GET", path, Origin=f"http://{host}") == 403
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert ask("POST", "/-/reload", **form) == 415
    assert ask("POST", "/-/reload", Origin="null", Content_Type="application/json") == 403
    assert not ingest.said("configuration reloaded")
    assert ask("POST", "/-/reload", Content_Type="application/json") == 200


def test_a_page_of_metrics_is_bounded(stack: Stack, receiver) -> None:
    for number in range(1500):
        stack.add_instance(receiver, number=1000 + number)
    for program in (stack.start("ingest", ready=False), stack.start("relay", ready=False)):
        program.wait_ready()
        page = program.get("/metrics")[1]
        series = [line for line in page.splitlines() if line and not line.startswith("#")]
        assert len(series) <= 1000
        assert program.metric("eventrelay_ready") in (0, 1)
        assert "eventrelay_config_hash_info{hash=" in page
        assert 'eventrelay_memory_limit_bytes{what="memory_max"} 268435456' in page
