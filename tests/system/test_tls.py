"""TLS on both sides, and addresses that may not be called."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from typing import Iterator

import pytest
from support import box
from support.stack import INSTANCE, Stack, feed
from support.tls import Authority, TlsReceiver
from support.wait import hold, until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def secure(authority: Authority) -> Iterator[TlsReceiver]:
    receiver = TlsReceiver(*authority.issue("localhost", "DNS:localhost"))
    yield receiver
    receiver.close()


def add(stack: Stack, url: str, port: int, **delivery) -> None:
    configuration = {
        "event.notification.enabled": True,
        "event.notification.callback.url": url,
        "event.notification.signature.key": "k" * 16,
    }
    entry = {"id": INSTANCE, "name": "a", "element": "box", "configuration": configuration}
    entry["delivery"] = {"ports": [port], **delivery}
    stack.config["instances"].append(entry)


def one_event(stack: Stack) -> None:
    ingest = stack.ingest()
    _, load = feed(ingest.port, 1, connections=1)
    assert load.finish(20).statuses() == {202: 1}


def outcome(relay, word: str) -> float:
    return relay.metric(f'eventrelay_relay_deliveries_total{{outcome="{word}"}}')


def test_delivery_over_tls_asks_for_the_name_and_checks_it(stack, authority, secure) -> None:
    url = f"https://localhost:{secure.port}/cb"
    add(stack, url, secure.port, allow_private_addresses=True, ca_file=str(authority.cert))
    relay = stack.relay()
    one_event(stack)
    until(lambda: secure.seen, 20, "a delivery")
    name, headers, _ = secure.seen[0]
    assert name == "localhost"
    assert headers["host"] == f"localhost:{secure.port}"
    until(lambda: outcome(relay, "ok") == 1, 5, "counted")


@pytest.mark.parametrize("wrong", ["name", "authority"])
def test_wrong_certificate_gets_no_event(stack, authority, secure, tmp_path, wrong: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    host = "127.0.0.1" if wrong == "name" else "localhost"
    trusted = authority if wrong == "name" else Authority(other)
    url = f"https://{host}:{secure.port}/cb"
    add(stack, url, secure.port, allow_private_addresses=True, ca_file=str(trusted.cert))
    relay = stack.relay()
    one_event(stack)
    until(lambda: outcome(relay, "tls") >= 1, 20, "a refused handshake is counted")
    hold(0.2)
    assert secure.seen == []


def test_client_certificate_is_shown(stack, authority, tmp_path) -> None:
    receiver = TlsReceiver(*authority.issue("localhost", "DNS:localhost"), authority.cert)
    try:
        cert, key = authority.issue("client", "DNS:client")
        both = tmp_path / "both.pem"
        both.write_text(cert.read_text() + key.read_text())
        url = f"https://localhost:{receiver.port}/cb"
        options = {"ca_file": str(authority.cert), "client_cert": str(both)}
        add(stack, url, receiver.port, allow_private_addresses=True, **options)
        stack.relay()
        one_event(stack)
        until(lambda: receiver.seen, 20, "a delivery")
    finally:
        receiver.close()


def test_private_address_is_not_dialled_unless_allowed(stack: Stack, authority, secure) -> None:
    stack.config["relay"]["allow_private_addresses"] = False
    url = f"https://localhost:{secure.port}/cb"
    add(stack, url, secure.port, ca_file=str(authority.cert))
    relay = stack.relay()
    one_event(stack)
    until(lambda: outcome(relay, "blocked") >= 1, 20, "blocked is counted")
    hold(0.2)
    assert secure.seen == []


def test_ingest_serves_tls(stack: Stack, receiver, authority: Authority) -> None:
    cert, key = authority.issue("ingest", "DNS:localhost")
    stack.config["ingest"]["tls"] = {"cert": str(cert), "key": str(key)}
    stack.add_instance(receiver)
    ingest = stack.ingest()
    context = ssl.create_default_context(cafile=str(authority.cert))
    client = http.client.HTTPSConnection("localhost", ingest.port, context=context, timeout=10)
    for number in range(3):
        raw = box.body(number)
        headers = dict([("Content-Type", "application/json"), *box.v2_headers(raw)])
        client.request("POST", box.path(INSTANCE), raw, headers)
        answer = client.getresponse()
        assert answer.status == 202
        answer.read()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(authority.cert)
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, OSError)):
        early = http.client.HTTPSConnection("localhost", ingest.port, context=old, timeout=10)
        early.request("GET", "/")
    assert len(stack.records()) == 3
