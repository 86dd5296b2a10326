"""The registry in Kafka: reloads, documents that can not be read, one writer, Kafka down."""

from __future__ import annotations

import json
import threading
import time

import pytest
from confluent_kafka import Producer
from support import box
from support.box_provider import FOLDER, api_of
from support.broker import free_port
from support.kafka_log import read_topic
from support.programs import run
from support.stack import KEY, Stack, feed, judge, signed_ok
from support.wait import hold, until

UNREADABLE = "eventrelay_registry_unreadable_documents"


def test_a_reload_keeps_the_instances_of_the_topic(tour: Stack, provider, receiver) -> None:
    """With `registry: topic` the file holds no instance; that is not `delete all`."""
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    made = [api.create(provider, receiver.url(f"/cb{i}"), KEY).json for i in range(3)]
    for program in (ingest, relay):
        until(lambda p=program: p.metric("eventrelay_registry_instances") == 3, 10, "all known")
    tour.config["sources"]["box"]["keys"] = ["another-primary-key", box.SECONDARY]
    tour.config["control"]["delivery_defaults"]["timeout"] = "3s"
    tour.write()
    for program in (ingest, relay):
        assert program.get("/-/reload", "POST")[0] == 200
        assert program.metric("eventrelay_registry_instances") == 3
    shown = [api.call("GET", f"/instances/{each['id']}").json for each in made]
    assert [each["id"] for each in shown] == [each["id"] for each in made]
    # Both the old connections and new ones know them, by the keys that are new.
    url = made[0]["webhookUrl"]
    for key, code in (("another-primary-key", 0), (box.PRIMARY, 1)):
        assert run("eventrelay", "send", "box-v2", "--url", url, "--key", key).returncode == code
    receiver.wait_for(1, 20)
    assert receiver.deliveries()[0].path == "/cb0" and signed_ok(receiver.deliveries()[0])
    # A reload that is refused changes nothing either, and a later one works.
    path = tour.write()
    good = path.read_text()
    path.write_text(good.replace('"registry": "topic"', '"registry": "topik"'))
    assert ingest.get("/-/reload", "POST")[0] == 400
    path.write_text(good)
    assert ingest.get("/-/reload", "POST")[0] == 200
    assert api.create(provider, receiver.url("/cb3"), KEY).json["id"] == made[-1]["id"] + 1
    assert ingest.metric("eventrelay_registry_instances") == 4
    until(lambda: relay.metric("eventrelay_registry_instances") == 4, 5, "the relay, too")


def test_a_document_that_can_not_be_read_keeps_its_former_version(
    tour: Stack, provider, receiver
) -> None:
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    first, second = (api.create(provider, receiver.url(f"/cb{i}"), KEY).json for i in range(2))
    topic = tour.prefix + "instances"
    key = str(first["id"]).encode()
    document = next(r.value for r in read_topic(tour.broker.bootstrap, topic) if r.key == key)
    other = next(
        r.value
        for r in read_topic(tour.broker.bootstrap, topic)
        if r.key == str(second["id"]).encode()
    )
    producer = Producer({"bootstrap.servers": tour.broker.bootstrap})

    def write(value: bytes | None, at: bytes = key) -> None:
        producer.produce(topic, key=at, value=value, partition=0)
        assert producer.flush(10) == 0

    for value in (
        b"not JSON",
        b"[]",
        b"\xff\xfe",
        b"{}",
        document.replace(b'"v":1', b'"v":2'),
        document.replace(b'"seal":"k1"', b'"seal":"k9"'),
        document[: len(document) // 2],
        b"x" * 100_000,
        b'{"v":1,"seal":"k1","instance":{"frob":1}}',
        other,  # sealed for another record
    ):
        write(value)
        for program in (ingest, relay):
            until(lambda p=program: p.metric(UNREADABLE) == 1, 10, f"{value[:40]!r} is counted")
            assert program.metric("eventrelay_registry_instances") == 2
        # The former version works on.
        send = ("send", "box-v2", "--key", box.PRIMARY, "--url")
        assert run("eventrelay", *send, first["webhookUrl"]).returncode == 0
        write(document)
        for program in (ingest, relay):
            until(lambda p=program: p.metric(UNREADABLE) == 0, 10, "it can be read again")
    receiver.wait_for(10, 30, "/cb0")
    told = "a document of the registry can not be read"
    said = [line for line in ingest.lines() if told in str(line.get("msg"))]
    assert len(said) >= 10 and all(line["record"] == str(first["id"]) for line in said)
    # One that names a master key which is not there holds the readiness back; others do not.
    write(document.replace(b'"seal":"k1"', b'"seal":"k9"'))
    for program in (ingest, relay):
        until(lambda p=program: p.get("/readyz")[0] == 503, 10, "not ready")
        reasons = json.loads(program.get("/readyz")[1])["reasons"]
        assert any(r.startswith("registry") and "k9" in r for r in reasons), reasons
    write(document)
    until(lambda: ingest.get("/readyz")[0] == 200, 10, "ready again")
    write(None, b"no instance")
    write(b"anything", b"some/other key")
    assert api.call("PATCH", f"/instances/{first['id']}", {"name": "still"}).status == 200
    assert ingest.metric(UNREADABLE) == 0


def test_a_master_key_that_comes_by_a_reload_opens_what_waited_for_it(
    tour: Stack, provider, receiver
) -> None:
    """For the data plane and for the API alike; until then the process is not ready."""
    ingest = tour.ingest()
    made = api_of(ingest).create(provider, receiver.url("/cb"), KEY).json
    own = f"/instances/{made['id']}"
    assert ingest.end()[0] == 0
    old = tour.config["seal"]["keys"][0]
    tour.config["seal"]["keys"] = [
        {"id": "k2", "key": run("eventrelay", "keygen", "seal").stdout.decode().strip()}
    ]
    ingest = tour.ingest(ready=False).wait_started()
    until(lambda: "k1" in ingest.get("/readyz")[1], 20, "the missing key is named")
    api = api_of(ingest)
    assert api.call("GET", own).status == 404 and api.call("GET", "/instances").json == []
    tour.config["seal"]["keys"].append(old)
    tour.write()
    assert ingest.get("/-/reload", "POST")[0] == 200
    ingest.wait_ready()
    assert [each["id"] for each in api.call("GET", "/instances").json] == [made["id"]]
    assert api.call("GET", "/webhooks", token=made["token"]).status == 200
    assert api.call("PATCH", own, {"name": "x"}).json["name"] == "x"
    send = ("send", "box-v2", "--key", box.PRIMARY, "--url", made["webhookUrl"])
    assert run("eventrelay", *send).returncode == 0


def test_import_into_a_topic_that_is_not_there_yet(
    tour: Stack, provider, receiver, tmp_path
) -> None:
    """The first start may come after the import; new ids go on above those that came with it."""
    path = str(tour.write())
    file = tmp_path / "instances.yaml"

    def write(element: str) -> None:
        entry = {
            "id": 4711,
            "name": "moved",
            "element": element,
            "configuration": {
                "event.notification.enabled": True,
                "event.notification.callback.url": receiver.url("/moved"),
                "event.notification.signature.key": KEY,
            },
            "delivery": tour.local(receiver),
        }
        file.write_text("instances:\n- " + json.dumps(entry) + "\n")

    def registry(action: str, *words: str) -> tuple[int, str]:
        done = run("eventrelay", "registry", action, "-c", path, *words)
        return done.returncode, (done.stdout or done.stderr).decode()

    write("no such element")
    status, said = registry("import", str(file))
    assert status == 78 and "element" in said and str(file) in said, said
    write("box")
    assert registry("list", "--json") == (0, "[]\n")
    dry = "1 added, 0 changed, 0 unchanged (dry run: nothing was written)\n"
    assert registry("import", str(file), "--dry-run") == (0, dry)
    assert registry("list", "--json") == (0, "[]\n")
    assert registry("import", str(file)) == (0, "1 added, 0 changed, 0 unchanged\n")
    assert [each["id"] for each in json.loads(registry("list", "--json")[1])] == [4711]
    ingest = tour.ingest()
    tour.relay()
    url = f"http://127.0.0.1:{ingest.port}/elements/api-v2/events/box/4711"
    assert run("eventrelay", "send", "box-v2", "--url", url, "--key", box.PRIMARY).returncode == 0
    receiver.wait_for(1, 20)
    assert receiver.deliveries()[0].path == "/moved" and signed_ok(receiver.deliveries()[0])
    assert api_of(ingest).create(provider, receiver.url("/cb"), KEY).json["id"] > 4711


def test_import_and_reseal_beside_a_running_process(
    tour: Stack, provider, receiver, tmp_path
) -> None:
    """Calls go on all the time: what is refused is refused with 503, and nothing is lost."""
    ingest = tour.ingest()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/cb"), KEY).json["id"]
    path = str(tour.write())
    file = tmp_path / "instances.yaml"
    exported = run("eventrelay", "registry", "export", "-c", path, "--secrets")
    assert exported.returncode == 0, exported.stderr
    text = exported.stdout.decode()
    statuses: list[int] = []
    names: list[str] = []
    ended = threading.Event()

    def change() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            answer = api.call("PATCH", f"/instances/{made}", {"tags": [f"t{number}"]})
            statuses.append(answer.status)
            if answer.status == 200:
                names.append(f"t{number}")
            ended.wait(0.02)

    def role_back():
        # One call may have been under way when the role was taken; those behind it tell.
        after = len(statuses) + 1
        return lambda: 200 in statuses[after:]

    worker = threading.Thread(target=change)
    worker.start()
    longest, ids = 0.0, []
    try:
        for number in range(3):
            more = text.replace(f"- id: {made}\n", f"- id: {made + 1000 * (number + 1)}\n")
            assert more != text, text
            file.write_text(more)
            done = run("eventrelay", "registry", "import", "-c", path, str(file))
            assert done.returncode == 0 and done.stdout.startswith(b"1 added"), done
            begin = time.monotonic()
            until(role_back(), 20, "the role is with the process again")
            longest = max(longest, time.monotonic() - begin)
            ids.append(api.create(provider, receiver.url("/cb"), KEY).json["id"])
            done = run("eventrelay", "registry", "reseal", "-c", path)
            assert done.returncode == 0, done.stderr
            until(role_back(), 20, "the role is with the process again")
    finally:
        ended.set()
        worker.join()
    assert set(statuses) <= {200, 503}
    assert ids == [made + 1001, made + 2001, made + 3001], "no id of the import is given again"
    assert api.call("GET", f"/instances/{made}").json["tags"] == [names[-1]], "nothing is lost"
    assert longest < 10
    status = run("eventrelay", "status", "--admin", f"http://127.0.0.1:{ingest.admin}").stdout
    assert b"role: true" in status and b"registry:" in status, status.decode()


def test_a_second_process_takes_the_role_and_ids_stay_unique(
    tour: Stack, provider, receiver
) -> None:
    first = tour.ingest()
    api = api_of(first)
    ids = [api.create(provider, receiver.url("/cb"), KEY).json["id"]]
    second = tour.ingest("--set", f"ingest.listen=127.0.0.1:{free_port()}")
    api_second = api_of(second)
    begin = time.monotonic()
    answer = api.create(provider, receiver.url("/cb"), KEY)
    assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1, answer
    assert time.monotonic() - begin < 2, "at once"
    ids.append(api_second.create(provider, receiver.url("/cb"), KEY).json["id"])
    # It does not take the role back by itself while the other lives.
    roles = ("eventrelay_control_role",)
    hold(
        18,
        lambda: second.metric(*roles) == 1 and first.metric(*roles) == 0,
        "the role stays where it is",
    )
    assert api.call("GET", f"/instances/{ids[-1]}").status == 200, "it reads on"
    # Standing still is not being gone: the role goes over, and the one that wakes has lost it.
    second.kill()
    until(lambda: first.metric("eventrelay_control_role") == 1, 40, "taken from a dead process")
    ids.append(api.create(provider, receiver.url("/cb"), KEY).json["id"])
    assert ids == sorted(set(ids)), "no id twice"
    assert first.end()[0] == 0


def test_kafka_away_in_the_middle_of_changes(own_tour: Stack, provider, receiver, report) -> None:
    """A change is there or is not; what was answered 200 is there; then changes work again."""
    tour = own_tour
    ingest = tour.ingest()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/cb"), KEY)
    own, token = f"/instances/{made.json['id']}", made.json["token"]
    done: list[tuple[str, int]] = []
    ended = threading.Event()

    def change(worker: int) -> None:
        number = 0
        while not ended.is_set():
            number += 1
            name = f"{worker}-{number}"
            answer = api.create(provider, receiver.url("/cb"), KEY, name=name, user="226067248")
            done.append((name, answer.status))

    workers = [threading.Thread(target=change, args=(n,)) for n in range(4)]
    for each in workers:
        each.start()
    try:
        for pause in (1.0, 13.0, 25.0):
            until(lambda n=len(done): len(done) > n + 8, 60, "changes go through")
            tour.broker.pause()
            hold(pause)
            tour.broker.resume()
            begin = time.monotonic()
            until(lambda n=len(done): [s for _, s in done[n:]].count(200) > 2, 90, "works again")
            passed = time.monotonic() - begin
            report(f"after {pause:.0f} s away changes work again in {passed:.1f} s")
    finally:
        ended.set()
        for each in workers:
            each.join()
    assert {status for _, status in done} <= {200, 503}
    listed = []
    page = ""
    while True:
        answer = api.call("GET", "/instances?pageSize=1000" + page)
        listed += [each["name"] for each in answer.json]
        if "Elements-Next-Page-Token" not in answer.headers:
            break
        page = "&nextPage=" + answer.headers["Elements-Next-Page-Token"]
    there = set(listed) - {"box instance"}
    assert there == {name for name, status in done if status == 200}, "503: no instance exists"
    assert len(listed) == len(set(listed))
    until(
        lambda: provider.state()["refresh_tokens"] == len(listed), 60, "other tokens are given back"
    )
    assert api.call("GET", own).json["valid"] is True
    assert api.call("POST", "/webhooks", FOLDER, token).status == 200


def test_events_go_on_while_instances_change(tour: Stack, provider, receiver) -> None:
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/cb"), KEY).json["id"]
    count = 3000
    bodies, load = feed(ingest.port, count, made, connections=8, rate=600)
    changes = 0
    while load.is_alive() and changes < 400:
        other = api.create(provider, receiver.url("/other"), KEY).json["id"]
        assert api.call("PATCH", f"/instances/{other}", {"name": "x"}).status == 200
        assert api.call("DELETE", f"/instances/{other}").status == 200
        changes += 3
    load.finish(60)
    assert load.statuses() == {202: count} and changes >= 30
    receiver.wait_for(count, 60)
    tour.wait_committed()
    verdict = judge(receiver.deliveries("/cb"), bodies)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])


UNDER = "control.delivery_defaults."
CONTROL = {
    "enabled": True,
    "organizations": [
        {"id": 1, "secret": "o", "accounts": [{"id": 2, "users": [{"id": 3, "secret": "u"}]}]}
    ],
}


def under(**delivery) -> dict:
    return {"delivery_defaults": delivery}


WRONG: list[tuple[str, dict, str]] = [
    ("seal missing", {"seal": None}, "seal"),
    ("no key", {"seal": {"keys": []}}, "seal.keys"),
    ("not base64", {"seal": {"keys": [{"id": "k1", "key": "short"}]}}, "seal.keys"),
    ("16 bytes", {"seal": {"keys": [{"id": "k1", "key": "MDEyMzQ1Njc4OWFiY2RlZg=="}]}}, "32 bytes"),
    ("bad id", {"seal": {"keys": [{"id": "K 1", "key": "S"}]}}, "seal.keys"),
    ("twice", {"seal": {"keys": [{"id": "k1", "key": "S"}] * 2}}, "seal.keys"),
    ("nine", {"seal": {"keys": [{"id": f"k{i}", "key": "S"} for i in range(9)]}}, "seal.keys"),
    ("unknown", {"seal": {"kays": []}}, "kays"),
    ("url", {"providers": {"box": {"token_url": "box"}}}, "providers.box.token_url"),
    ("ftp", {"providers": {"box": {"api_url": "ftp://x/"}}}, "providers.box.api_url"),
    ("timeout", {"providers": {"box": {"timeout": "5"}}}, "providers.box.timeout"),
    ("zero", {"providers": {"box": {"timeout": "0s"}}}, "providers.box.timeout"),
    ("ca", {"providers": {"box": {"ca_file": "/nothing/there"}}}, "providers.box.ca_file"),
    ("garbled ca", {"providers": {"box": {"ca_file": __file__}}}, "providers.box.ca_file"),
    ("folder ca", {"providers": {"box": {"ca_file": "/etc"}}}, "providers.box.ca_file"),
    ("ca below", {"control": {**CONTROL, **under(ca_file="/nothing/there")}}, UNDER + "ca_file"),
    ("garbled below", {"control": {**CONTROL, **under(ca_file=__file__)}}, UNDER + "ca_file"),
    ("cert below", {"control": {**CONTROL, **under(client_cert=__file__)}}, UNDER + "client_cert"),
    ("other", {"providers": {"dropbox": {}}}, "dropbox"),
    ("public_url", {"ingest": {"public_url": "hooks.example.com"}}, "ingest.public_url"),
    ("with path", {"ingest": {"public_url": "https://h.example.com/x"}}, "ingest.public_url"),
    ("organizations", {"control": {"enabled": True}}, "control.organizations"),
    ("file", {"registry": "file"}, "registry"),
    ("instances", {"instances": [{"id": 1, "name": "a", "element": "box"}]}, "instances"),
]


@pytest.mark.parametrize("change,words", [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_wrong_keys_end_with_78_and_the_line(
    tour: Stack, change: dict, words: str
) -> None:
    for key, value in json.loads(json.dumps(change).replace('"S"', json.dumps(SEAL_KEY))).items():
        if value is None:
            tour.config.pop(key)
        elif key == "ingest":
            tour.config[key].update(value)
        else:
            tour.config[key] = value
    path = tour.write()
    for command in (("eventrelay-ingest", "-c"), ("eventrelay", "check-config", "-c")):
        done = run(*command, str(path), seconds=10)
        said = done.stderr.decode() + done.stdout.decode()
        assert done.returncode == 78, (command, done.returncode, said)
        assert words in said and str(path) + ":" in said, said
        assert SEAL_KEY not in said


SEAL_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def test_secrets_over_plain_http_are_warned_about(tour: Stack) -> None:
    """Allowed, for a test network; loopback, where the stand-in is, says nothing."""
    box_urls = tour.config["providers"]["box"]

    def warned() -> str:
        done = run("eventrelay", "check-config", "-c", str(tour.write()))
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    assert "plain HTTP" not in warned()
    box_urls["token_url"] = "http://box.test.example/oauth2/token"
    told = warned()
    assert told.count("plain HTTP") == 1 and "providers.box.token_url" in told, told
    box_urls["token_url"] = "https://box.test.example/oauth2/token"
    assert "plain HTTP" not in warned()
