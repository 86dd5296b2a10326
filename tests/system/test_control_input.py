"""What the control API says to bad input: by the answer table, in time, and nothing half done."""

from __future__ import annotations

import copy
import json
import socket
import time

import pytest
from support import box
from support.box_provider import CLIENT_ID, CLIENT_SECRET, Api, BoxProvider, api_of
from support.programs import run
from support.raw_server import RawServer
from support.stack import KEY, Stack
from support.wait import until

SECRET_KEYS = (
    "oauth.api.key",
    "oauth.api.secret",
    "event.notification.signature.key",
    "event.vendor.signature.key",
    "event.vendor.token",
)
MISSING = object()


def body_of(code: str, callback: str) -> dict:
    return {
        "element": {"key": "box"},
        "providerData": {"code": code},
        "configuration": {
            "oauth.callback.url": "https://mycoolapp.com/auth",
            "oauth.api.key": CLIENT_ID,
            "oauth.api.secret": CLIENT_SECRET,
            "event.notification.enabled": True,
            "event.notification.callback.url": callback,
            "event.notification.signature.key": KEY,
        },
        "tags": ["Docs"],
        "name": "box instance",
    }


def put(body: dict, path: tuple[str, ...], value) -> dict:
    changed = copy.deepcopy(body)
    inner = changed
    for each in path[:-1]:
        inner = inner[each]
    if value is MISSING:
        inner.pop(path[-1], None)
    else:
        inner[path[-1]] = value
    return changed


def test_each_row_of_the_parameter_table(tour: Stack, provider, receiver) -> None:
    """Right, missing, of the wrong type, at its bound and over it."""
    ingest = tour.ingest()
    api = api_of(ingest)
    callback = receiver.url("/events")
    url = callback + "/"
    long_url = url + "a" * (2048 - len(url))
    page = "https://mycoolapp.com/"
    long_page = page + "a" * (2048 - len(page))
    conf = "configuration"
    wrong_texts = [1, True, ["x"], {"file": "/etc/passwd"}]
    # Path, good values, and values that are refused with the name of the field.
    rows: list[tuple[tuple[str, ...], list, list]] = [
        (("element",), [{"key": "box"}, {"id": 22}], [MISSING, "box", [], {}, None]),
        (("element", "key"), ["box"], [1, "", "bx", "BOX", None]),
        (("providerData", "code"), [], [MISSING, "", 1, ["x"], "a b", "x" * 4097, "\u00e9"]),
        (("name",), ["n", "n" * 256], [MISSING, "", 1, None, "n" * 257]),
        (
            ("tags",),
            [MISSING, [], "one", ["t" * 256] * 3, [f"t{i}" for i in range(100)]],
            [1, {}, [1], [""], ["t" * 257], [f"t{i}" for i in range(101)], [["x"]]],
        ),
        ((conf,), [], [MISSING, "x", [], 1]),
        (
            (conf, "oauth.callback.url"),
            [page, long_page],
            [MISSING, "", "mycoolapp", "ftp://mycoolapp.com/", long_page + "a", *wrong_texts],
        ),
        ((conf, "oauth.api.key"), [], [MISSING, "", "k" * 1025, "a\nb", *wrong_texts]),
        ((conf, "oauth.api.secret"), [], [MISSING, "", "k" * 1025, "a\x00b", *wrong_texts]),
        (
            (conf, "event.notification.enabled"),
            [True, False, "true", "false", MISSING],
            [1, 0, "yes", "True", "", [], {}],
        ),
        (
            (conf, "event.notification.callback.url"),
            [callback, long_url],
            [
                MISSING,
                "",
                "events",
                "ftp://127.0.0.1/x",
                "http://user:pw@127.0.0.1/x",
                long_url + "a",
                *wrong_texts,
            ],
        ),
        (
            (conf, "event.notification.signature.key"),
            [MISSING, "", "k", "k" * 1024],
            ["k" * 1025, "a\nb", "********", *wrong_texts],
        ),
        ((conf, "event.vendor.type"), ["webhook", "webhooks"], ["polling", "x", *wrong_texts]),
        ((conf, "event.vendor.signature.key"), ["k" * 1024], ["", "k" * 1025, *wrong_texts]),
        ((conf, "event.vendor.signature.key.secondary"), ["k"], ["", "k" * 1025, *wrong_texts]),
        ((conf, "event.vendor.token"), ["t" * 16, "t" * 256], ["t" * 15, "t" * 257, *wrong_texts]),
        ((conf, "event.poller.refresh_interval"), [], [15, "15", "1s"]),
        ((conf, "event.poller.configuration"), [], [{}, "{}"]),
        ((conf, "events.list.ids"), [MISSING, "", "v" * 4096], ["v" * 4097, *wrong_texts]),
        ((conf, "k" * 256), ["v"], []),
        ((conf, "k" * 257), [], ["v"]),
        (("delivery",), [{}, {"format": "raw"}], [1, "x", {"frob": 1}, {"format": "x"}]),
        (
            ("subscriptions",),
            [[], [{"name": "a", "url": callback}]],
            [
                1,
                {},
                [1],
                [{"name": "a"}],
                [{"name": "callback", "url": callback}],
                [{"name": "a", "url": callback}] * 2,
                [{"name": f"s{i}", "url": callback} for i in range(101)],
            ],
        ),
        (("frob",), [], [1]),
        (("__proto__",), [], [{"x": 1}]),
    ]
    for key in ("allow_http", "ports", "ca_file", "client_cert", "allow_private_addresses"):
        value = {"allow_http": False, "ports": [1]}.get(key, "/etc/passwd")
        if key == "allow_private_addresses":
            value = False
        rows.append((("delivery",), [], [{key: value}]))
    made = 0
    for path, good, bad in rows:
        name = ".".join(path)
        for value in bad:
            before = provider.state()["exchanges"]
            answer = api.call("POST", "/instances", put(body_of("unused", callback), path, value))
            assert answer.status == 400, (name, value, answer)
            message = answer.json["message"]
            assert message.startswith(name[:200]), (name, value, message)
            assert provider.state()["exchanges"] == before, "the provider is not asked"
            if path[-1] in SECRET_KEYS and isinstance(value, str) and len(value) > 2:
                assert value[:40] not in message, (name, message)
        for value in good:
            body = put(body_of(provider.code(), callback), path, value)
            answer = api.call("POST", "/instances", body)
            assert answer.status == 200, (name, value, answer)
            made += 1
    # The bounds of what only the provider can judge: it is asked, and says no.
    for path, value in [
        ((conf, "oauth.api.key"), "k" * 1024),
        ((conf, "oauth.api.secret"), "k" * 1024),
        (("providerData", "code"), "c" * 4096),
    ]:
        answer = api.call("POST", "/instances", put(body_of("x", callback), path, value))
        assert answer.status == 400 and answer.json["providerMessage"], (path, answer)
    keys = {f"key.{i}": "v" for i in range(200)}
    full = body_of(provider.code(), callback)
    named = [k for k in full[conf] if k.startswith("oauth")]
    full[conf].update({k: "v" for k in list(keys)[: 200 - len(full[conf])]})
    assert len(full[conf]) == 200 and named
    assert api.call("POST", "/instances", full).status == 200
    full[conf]["one.more"] = "v"
    assert api.call("POST", "/instances", full).json["message"].startswith("configuration: 201")
    assert len(api.call("GET", "/instances?pageSize=1000").json) == made + 1


def test_malformed_requests_change_nothing(tour: Stack, provider, receiver) -> None:
    ingest = tour.ingest()
    api = api_of(ingest)
    callback = receiver.url("/events")
    made = api.call("POST", "/instances", body_of(provider.code(), callback))
    assert made.status == 200, made
    own, token = f"/instances/{made.json['id']}", made.json["token"]
    before = api.call("GET", own).json
    requests = provider.state()["exchanges"]
    deep = b'{"configuration":' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}"
    texts: list[tuple[bytes, int, str]] = [
        (b"", 400, "body"),
        (b"[]", 400, "object"),
        (b'"x"', 400, "object"),
        (b"{", 400, "JSON"),
        (b'{"name":"x"', 400, "JSON"),
        (b'{"name":"x"} {}', 400, "JSON"),
        (b'\xef\xbb\xbf{"name":"x"}', 400, "JSON"),
        (b'{"name":NaN}', 400, "JSON"),
        (b"{'name':'x'}", 400, "JSON"),
        (b'{"name":"x",}', 400, "JSON"),
        (b'{"name":"\xff\xfe"}', 400, "JSON"),
        (b'{"name":"\xc3"}', 400, "JSON"),
        (b'{"name":"\\ud800"}', 400, "JSON"),
        (b'{"name":"a","name":"b"}', 400, "name: given twice"),
        (b'{"name":"a","n\\u0061me":"b"}', 400, "name: given twice"),
        (b'{"configuration":{"a":"1","a":"2"}}', 400, "configuration.a: given twice"),
        (deep, 400, "32 levels"),
        (b"[" * 60_000, 400, ""),
        (b'{"name":1e999}', 400, ""),
        (b'{"name":' + b"9" * 400 + b"}", 400, ""),
        (json.dumps({"tags": ["t"] * 10_000}).encode(), 400, "tags: 10000 entries"),
        (b'{"tags":[' + b"1," * 30_000 + b"1]}", 400, "values"),
        (b'{"__proto__":{"name":"x"}}', 400, "__proto__: unknown"),
        (b'{"constructor":{"prototype":{}}}', 400, "constructor: unknown"),
        (b'{"configuration":{"a\\u0000b":1}}', 400, "configuration."),
        (b'{"name":"' + b"x" * 65_600 + b'"}', 413, ""),
    ]
    for method, path in [("PATCH", own), ("PUT", own), ("POST", "/instances")]:
        for text, status, words in texts:
            answer = api.call(method, path, text)
            assert answer.status == status, (method, text[:60], answer)
            if method != "POST":  # there the element is missed first
                assert words in answer.json["message"], (method, text[:60], answer)
    for text, status, words in texts:
        answer = api.call("POST", "/webhooks", text, token)
        assert answer.status == status, (text[:60], answer)
    # A body at the limit is read.
    at_limit = b'{"name":1' + b" " * (65_536 - 10) + b"}"
    assert len(at_limit) == 65_536
    assert api.call("PATCH", own, at_limit).json["message"].startswith("name:")
    assert api.call("PATCH", own, at_limit + b" ").status == 413

    # Calls that fit, for an instance that would not.
    parts = [{f"key.{part}.{i}": "v" * 4096 for i in range(8)} for part in range(2)]
    assert api.call("PATCH", own, {"configuration": parts[0]}).status == 200
    too_large = api.call("PATCH", own, {"configuration": parts[1]})
    assert too_large.status == 400, too_large
    assert too_large.json["message"].startswith("configuration: ")
    assert "64 KiB" in too_large.json["message"]
    removed = {key: None for key in parts[0]}
    assert api.call("PATCH", own, {"configuration": removed}).status == 200

    hook = {"target": {"id": "1000", "type": "folder"}, "triggers": ["FILE.UPLOADED"]}
    for path, value, name in [
        (("target",), MISSING, "target"),
        (("target",), "x", "target"),
        (("target", "id"), MISSING, "target.id"),
        (("target", "id"), 1000, "target.id"),
        (("target", "type"), "web_link", "target.type"),
        (("target", "type"), MISSING, "target.type"),
        (("target", "more"), "x", "target.more"),
        (("triggers",), MISSING, "triggers"),
        (("triggers",), [], "triggers"),
        (("triggers",), "FILE.UPLOADED", "triggers"),
        (("triggers",), [1], "triggers"),
        (("address",), 1, "address"),
        (("frob",), 1, "frob"),
    ]:
        answer = api.call("POST", "/webhooks", put(hook, path, value), token)
        assert answer.status == 400 and answer.json["message"].startswith(name), (name, answer)
    for query in ("pageSize=0", "pageSize=1001", "pageSize=x", "pageSize=-1", "nextPage=%00"):
        assert api.call("GET", "/instances?" + query).status == 400, query
    for number in ("0", "-1", "1e3", "9" * 30, "01", "..", "%00", "a" * 3000):
        assert api.call("GET", f"/instances/{number}").status in (400, 404), number

    # What HTTP itself asks.
    as_text = {"Content-Type": "text/plain"}
    assert api.call("PATCH", own, b"{}", headers=as_text).status == 415
    assert api.call("GET", own, headers={"Accept": "text/html"}).status == 406
    assert api.call("GET", own, headers={"Accept": "*/*"}).status == 200
    refused = api.call("POST", own, {})
    assert refused.status == 405 and "GET" in refused.headers["Allow"]
    assert api.call("GET", "/nothing").status == 404
    assert raw_status(ingest.admin, own, b"Transfer-Encoding: chunked\r\n") == 411
    assert raw_status(ingest.admin, own, b"X-Long: " + b"x" * 10_000 + b"\r\n") == 431

    after = api.call("GET", own).json
    assert after == before, "no half change"
    assert [each["id"] for each in api.call("GET", "/instances").json] == [before["id"]]
    assert provider.state()["exchanges"] == requests and provider.state()["webhooks"] == []


def raw_status(port: int, path: str, header: bytes) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        peer.sendall(
            f"PATCH /elements/api-v2{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
            + header
            + b"Content-Type: application/json\r\n\r\n"
        )
        return int(peer.recv(4096).split(b" ")[1])


class BadProvider(RawServer):
    """Answers every request with bytes of its own making, without end or never."""

    def __init__(self, head: bytes, chunk: bytes = b"", pause: float = 0.0):
        self.head, self.chunk, self.pause = head, chunk, pause
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}"

    def serve(self, peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(self.head)
        while self.chunk and not self.ended.is_set():
            peer.sendall(self.chunk)
            self.ended.wait(self.pause)
        while not self.ended.is_set() and peer.recv(65536):
            pass


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BAD_PROVIDERS = {
    "two GiB told": (OK + b"Content-Length: 2147483648\r\n\r\n", b"x" * 65536, 0.0, 502),
    "without end": (OK + b"Connection: close\r\n\r\n", b"x" * 65536, 0.0, 502),
    "chunks without end": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        b"10000\r\n" + b"x" * 65536 + b"\r\n",
        0.0,
        502,
    ),
    "header without end": (OK, b"X-More: " + b"x" * 8000 + b"\r\n", 0.0, 502),
    "a byte now and then": (OK + b"Content-Length: 1000\r\n\r\n", b"x", 0.3, 504),
    "nothing": (b"", b"", 0.0, 504),
    "half a head": (b"HTTP/1.1 200 OK\r\nCont", b"", 0.0, 504),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"", 0.0, 502),
    "HTML": (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", b"", 0.0, 502),
    "a redirect": (
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
        b"",
        0.0,
        502,
    ),
    "deep JSON": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
        b"",
        0.0,
        502,
    ),
}


@pytest.fixture
def bad_providers():
    opened: list[BadProvider] = []

    def open_one(*how) -> BadProvider:
        opened.append(BadProvider(*how))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def test_a_provider_without_measure_is_answered_in_time(
    tour: Stack, provider: BoxProvider, receiver, bad_providers, report
) -> None:
    """The grant, and a call of an instance that is connected already."""
    ingest = tour.ingest()
    api = api_of(ingest)
    token = api.create(provider, receiver.url("/e"), KEY).json["token"]
    good = copy.deepcopy(tour.config["providers"])
    slowest = 0.0
    rss = ingest.rss()
    for name, (head, chunk, pause, status) in BAD_PROVIDERS.items():
        bad = bad_providers(head, chunk, pause)
        for url in ("token_url", "api_url"):
            tour.config["providers"] = copy.deepcopy(good)
            tour.config["providers"]["box"][url] = bad.url + "/2.0"
            tour.config["providers"]["box"]["timeout"] = "1s"
            tour.write()
            assert ingest.get("/-/reload", "POST")[0] == 200
            begin = time.monotonic()
            created = api.create(provider, receiver.url("/e"), KEY)
            passed = time.monotonic() - begin
            assert created.status == status, (name, url, created)
            slowest = max(slowest, passed)
            if url == "api_url":
                called = api.call("GET", "/webhooks", token=token)
                assert called.status == status, (name, called)
    more = (ingest.rss() - rss) >> 20
    report(f"slowest answer {slowest:.2f} s at a timeout of 1 s, RSS +{more} MiB")
    assert slowest < 4, "exchange and revocation, each within the timeout"
    assert ingest.rss() - rss < 32 << 20
    tour.config["providers"] = good
    tour.write()
    assert ingest.get("/-/reload", "POST")[0] == 200
    assert len(api.call("GET", "/instances").json) == 1, "no instance of a failed creation"
    assert api.call("GET", "/webhooks", token=token).status == 200
    until(lambda: provider.state()["refresh_tokens"] >= 1, 5, "the first one's grant is there")


# Hosts that only the operator may open, and one that nobody may.
INSIDE = (
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "0.0.0.0",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[fd00:ec2::254]",
    "localhost",
    "LOCALHOST.",
    "a.localhost",
    "127.1",
    "2130706433",
    "0x7f000001",
)


def test_what_a_caller_may_not_reach(tour: Stack, provider, receiver) -> None:
    """Another account's instance, the operator's network and the operator's files."""
    tour.config["control"]["delivery_defaults"] = {}
    tour.config["relay"].pop("allow_private_addresses")
    ingest = tour.ingest()
    api = api_of(ingest)
    for url in (
        "http://mycoolapp.com/",
        "https://mycoolapp.com:22/",
        "https://mycoolapp.com:9092/",
        "file:///etc/passwd",
        "https://user:secret@mycoolapp.com/",
        *(f"https://{host}/" for host in INSIDE),
    ):
        answer = api.create(provider, url, KEY)
        assert answer.status == 400, (url, answer)
        message = answer.json["message"]
        assert message.startswith("configuration.event.notification.callback.url"), message
        more = api.create(
            provider, "https://mycoolapp.com/", KEY, subscriptions=[{"name": "a", "url": url}]
        )
        assert more.status == 400 and more.json["message"].startswith("subscriptions"), (url, more)
    assert provider.state()["exchanges"] == 0, "judged before the provider is asked"
    made = api.create(provider, "https://mycoolapp.com/", KEY)
    assert made.status == 200, made
    own = f"/instances/{made.json['id']}"
    for delivery in (
        {"allow_http": True},
        {"ports": [22]},
        {"ca_file": "/etc/passwd"},
        {"client_cert": {"cert": "/etc/passwd", "key": "/etc/passwd"}},
        {"allow_private_addresses": True},
    ):
        answer = api.call("PATCH", own, {"delivery": delivery})
        assert answer.status == 400, (delivery, answer)
        assert answer.json["message"].startswith("delivery." + next(iter(delivery))), answer
    for value in ({"file": "/etc/passwd"}, {"env": "PATH"}):
        for body in (
            {"configuration": {"event.notification.signature.key": value}},
            {"delivery": {"keys": [value]}},
            {"delivery": {"headers": {"X-A": value}}},
            {"subscriptions": [{"name": "a", "url": "https://mycoolapp.com/", "key": value}]},
        ):
            assert api.call("PATCH", own, body).status == 400, body
    assert api.call("PATCH", own, {"name": "${PATH}"}).json["name"] == "${PATH}"
    other = Api(ingest.admin, "planted-other-secret", "planted-other-organization")
    for method, path, body in [
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("PUT", "", {"name": "x"}),
        ("DELETE", "", None),
        ("PUT", "/enabled", None),
        ("DELETE", "/enabled", None),
        ("GET", "/configuration", None),
        ("GET", "/configuration/1", None),
        ("PATCH", "/configuration/1", {"propertyValue": "x"}),
        ("POST", "/token", None),
        ("GET", "/setup", None),
    ]:
        foreign = other.call(method, own + path, body)
        never = other.call(method, "/instances/4711" + path, body)
        assert foreign.status == never.status == 404, (method, path, foreign, never)
        assert foreign.json["message"].replace(str(made.json["id"]), "N") == (
            never.json["message"].replace("4711", "N")
        )
    assert other.call("GET", "/instances").json == []
    assert other.call("GET", "/webhooks", token=made.json["token"]).status == 401
    assert api.call("GET", own).json["name"] == "${PATH}"


def test_an_address_is_judged_at_the_call_and_when_dialled(
    tour: Stack, provider, receiver
) -> None:
    """What the control process lets pass, the relay judges again by its own configuration."""
    tour.config["control"]["delivery_defaults"] = {"allow_http": True, "ports": [receiver.port]}
    tour.config["relay"].pop("allow_private_addresses")
    strict = tour.ingest()
    api = api_of(strict)
    hosts = ["127.0.0.1", "localhost", "[::1]"]
    for host in hosts:
        answer = api.create(provider, f"http://{host}:{receiver.port}/x", KEY)
        assert answer.status == 400, (host, answer)
        message = answer.json["message"]
        assert message.startswith("configuration.event.notification.callback.url: "), message
        assert "only the operator" in message, message
    assert provider.state()["exchanges"] == 0, "judged before the provider is asked"
    assert strict.end()[0] == 0

    ingest = tour.ingest("--set", "relay.allow_private_addresses=true")
    relay = tour.relay()
    api = api_of(ingest)
    made = [api.create(provider, f"http://{host}:{receiver.port}/x", KEY) for host in hosts]
    assert [each.status for each in made] == [200] * len(hosts), made
    metadata = api.create(provider, f"http://169.254.169.254:{receiver.port}/x", KEY)
    assert metadata.status == 400, "nobody may open it"
    for each in made:
        url = each.json["webhookUrl"]
        sent = run("eventrelay", "send", "box-v2", "--url", url, "--key", box.PRIMARY)
        assert sent.returncode == 0, sent.stderr
    until(
        lambda: relay.metric('eventrelay_relay_deliveries_total{outcome="blocked"}') >= len(made),
        20,
        "each is blocked",
    )
    assert receiver.deliveries() == []
