"""The way to a provider over TLS, and what is told of calls and changes: one line, one count."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

import pytest
from support.box_provider import (
    FOLDER,
    ORGANIZATION,
    USER,
    VIEWER,
    Api,
    BoxProvider,
    api_of,
    connected,
)
from support.programs import run
from support.raw_server import RawServer
from support.stack import KEY, Stack
from support.tls import Authority


class TlsFront(RawServer):
    """Speaks TLS with a certificate and hands every byte on to the stand-in."""

    def __init__(self, provider: BoxProvider, cert: Path, key: Path):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.inner = provider.port
        self.whole = 0  # handshakes that came to their end
        super().__init__()

    def serve(self, peer: socket.socket) -> None:
        with self.context.wrap_socket(peer, server_side=True) as outer:
            self.whole += 1
            with socket.create_connection(("127.0.0.1", self.inner)) as inner:
                inner.sendall(outer.recv(65536))
                while piece := inner.recv(65536):
                    outer.sendall(piece)


@pytest.fixture
def fronts(provider: BoxProvider):
    opened: list[TlsFront] = []

    def front(cert: Path, key: Path) -> TlsFront:
        opened.append(TlsFront(provider, cert, key))
        return opened[-1]

    yield front
    for each in opened:
        each.close()


def lead_to(tour: Stack, front: TlsFront, host: str, ca_file: Path | None) -> None:
    urls = tour.config["providers"]["box"]
    for name in ("token_url", "revoke_url", "api_url"):
        urls[name] = re.sub(r"^https?://[^/]*", f"https://{host}:{front.port}", urls[name])
    urls.pop("ca_file", None)
    if ca_file is not None:
        urls["ca_file"] = str(ca_file)


def test_a_provider_is_asked_over_tls_that_is_verified(
    tour: Stack, provider, receiver, fronts, tmp_path
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    right = fronts(*authority.issue("right", "DNS:localhost"))
    wrong_name = fronts(*authority.issue("wrong", "DNS:elsewhere.example"))
    lead_to(tour, right, "localhost", authority.cert)
    ingest = tour.ingest()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/e"), KEY)
    assert made.status == 200 and right.whole == 2, made
    assert api.call("POST", "/webhooks", FOLDER, made.json["token"]).status == 200
    exchanges = provider.state()["exchanges"]
    for front, ca_file in (
        (right, None),  # not of an authority of the system
        (right, other.cert),
        (wrong_name, authority.cert),
    ):
        lead_to(tour, front, "localhost", ca_file)
        tour.write()
        assert ingest.get("/-/reload", "POST")[0] == 200
        refused = api.create(provider, receiver.url("/e"), KEY)
        assert refused.status == 502 and "certificate" in refused.json["message"], refused
        assert api.call("GET", "/webhooks", token=made.json["token"]).status == 502
    assert provider.state()["exchanges"] == exchanges, "no secret has left the process"
    # A reload with a garbled file is refused, and the one in force works on.
    lead_to(tour, right, "localhost", authority.cert)
    tour.write()
    assert ingest.get("/-/reload", "POST")[0] == 200
    lead_to(tour, right, "localhost", Path(__file__))
    tour.write()
    status, said = ingest.get("/-/reload", "POST")
    assert status == 400 and "providers.box.ca_file" in said, said
    assert api.call("GET", "/webhooks", token=made.json["token"]).status == 200


def test_each_change_is_one_line_and_each_call_is_counted(
    tour: Stack, provider, receiver
) -> None:
    """Who, what, which instance; nothing of what was refused or only read."""
    ingest, api, made = connected(tour, provider, receiver)
    own, token = f"/instances/{made['id']}", made["token"]
    hook = api.call("POST", "/hubs/documents/webhooks", FOLDER, token).json["id"]
    done = [
        ("POST", "/instances", None),
        ("POST", "/hubs/documents/webhooks", token),
    ]
    for method, path, body, element in [
        ("PATCH", own, {"name": "x"}, None),
        ("PUT", own + "/enabled", None, None),
        ("PATCH", "/instances/configuration/events.list.ids", {"propertyValue": "y"}, token),
        ("POST", own + "/token", None, None),
    ]:
        answer = api.call(method, path, body, element)
        assert answer.status == 200, answer
        done.append((method, path, element))
        if path.endswith("/token"):
            token = answer.json["token"]
    assert api.call("GET", own).status == 200
    assert api.call("PATCH", own, {"frob": 1}).status == 400
    assert api.call("PATCH", "/instances/999999", {}).status == 404
    viewer = Api(ingest.admin, VIEWER)
    assert viewer.call("DELETE", own).status == 403
    assert api.send("DELETE", own, None, {"Authorization": "Bearer x"}).status == 401
    assert api.call("DELETE", f"/webhooks/{hook}", None, token).status == 200
    assert api.call("DELETE", own).status == 200
    done += [("DELETE", f"/webhooks/{hook}", token), ("DELETE", own, None)]

    lines = ingest.said("control change")
    told = [(line["method"], line["path"].split("/elements/api-v2", 1)[1]) for line in lines]
    assert told == [(method, path) for method, path, _ in done]
    for line in lines:
        numbers = [int(line[name]) for name in ("user", "account", "instance")]
        assert numbers == [100, 10, made["id"]], line
        assert int(line["requestId"], 16) > 0
    for secret in (USER, ORGANIZATION, KEY, made["token"], token):
        assert secret not in ingest.log()

    def counted(code: int) -> float:
        return ingest.metric(f'eventrelay_control_requests_total{{code="{code}"}}')

    assert counted(200) == len(done) + 1
    assert [counted(code) for code in (400, 401, 403, 404)] == [1, 1, 1, 1]
    asked = ingest.metric('eventrelay_provider_requests_total{provider="box",outcome="ok"}')
    assert asked >= 4, "code, user, webhook made and deleted"
    assert ingest.metric("eventrelay_control_role") == 1
    status = run("eventrelay", "status", "--admin", f"http://127.0.0.1:{ingest.admin}")
    assert b"registry:" in status.stdout and b"role: true" in status.stdout, status.stdout


@pytest.mark.parametrize(
    "kind, form",
    [
        ("seal", r"[A-Za-z0-9+/]{43}=\n"),
        ("elements", r"[A-Za-z0-9+/]{43}=\n"),
        ("standard", r"whsec_[A-Za-z0-9+/]{43}=\n"),
        ("standard-ed25519", r"whsk_[A-Za-z0-9+/]+=*\nwhpk_[A-Za-z0-9+/]{43}=\n"),
    ],
)
def test_keys_are_made_new_each_time(kind: str, form: str) -> None:
    made = {run("eventrelay", "keygen", kind).stdout.decode() for _ in range(3)}
    assert len(made) == 3 and all(re.fullmatch(form, each) for each in made), made
    assert run("eventrelay", "keygen", "other").returncode == 2
