"""Events of the past by the control API, against what the receiver saw; and sending them again."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest
from support import box
from support.box_provider import OTHER, OTHER_ORGANIZATION, Api, BoxProvider, control_config
from support.broker import free_port
from support.receiver import Rule
from support.stack import KEY, Stack, feed
from support.wait import until

COUNT = int(os.environ.get("EVENTRELAY_HISTORY_EVENTS", "400"))  # of most fates
FEW = 20  # of those that fail and are tried again: a breaker lets few attempts through
FATAL = 418


@pytest.fixture
def provider(tmp_path):
    one = BoxProvider(tmp_path, box.PRIMARY, box.SECONDARY)
    yield one
    one.close()


@pytest.fixture
def tour(stack: Stack, provider, receiver):
    control_config(stack.config, provider, free_port(), receiver.port)
    stack.config["retry"] = {"delays": ["1s", "2s"], "jitter": 0}
    return stack


def api_of(ingest) -> Api:
    until(
        lambda: json.loads(ingest.get("/api/v1/status")[1])["control"]["role"],
        20,
        "the control role is taken",
    )
    return Api(ingest.admin)


def stamp(**ago) -> str:
    return (datetime.now(timezone.utc) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def ask(api: Api, path: str):
    """A question of the history; where the machine is too slow for its two seconds, once more."""
    answer = api.call("GET", path)
    for _ in range(20):
        if answer.status != 503:
            break
        assert int(answer.headers["Retry-After"]) > 0
        answer = api.call("GET", path)
    return answer


def all_events(api: Api, path: str, page: int = 200) -> list[dict]:
    """Every page of a list; no event twice, newest first."""
    found: list[dict] = []
    token = ""
    while True:
        more = f"&nextPage={token}" if token else ""
        answer = ask(api, f"{path}?pageSize={page}{more}")
        assert answer.status == 200, answer
        found += answer.json
        token = answer.headers.get("Elements-Next-Page-Token", "")
        if not token:
            break
    ids = [each["id"] for each in found]
    assert len(set(ids)) == len(ids)
    dates = [each["eventElementInstances"][0]["createdDate"] for each in found]
    assert dates == sorted(dates, reverse=True)
    return found


def all_dispositions(api: Api) -> list[dict]:
    found: list[dict] = []
    token = ""
    while True:
        more = f"&nextPage={token}" if token else ""
        answer = ask(api, f"/instances/events/dispositions?pageSize=1000{more}")
        assert answer.status == 200, answer
        found += answer.json
        token = answer.headers.get("Elements-Next-Page-Token", "")
        if not token:
            return found


def states(events: list[dict]) -> Counter:
    return Counter(each["state"] for event in events for each in event["notifiedData"])


def test_what_became_of_every_event_is_told(tour: Stack, provider, receiver, report) -> None:
    ingest, _ = tour.ingest(), tour.relay()
    api = api_of(ingest)
    receiver.answer("/heals", Rule(status=503, times=5))
    receiver.answer("/dead", Rule(status=FATAL))
    made = {}
    for name in ("good", "heals", "dead", "off", "nobody"):
        more = {"configuration": {"event.notification.enabled": name != "nobody"}}
        more["delivery"] = {"fatal_statuses": [FATAL]}
        if name == "good":
            filtered = {"event_types": ["DELETED"]}
            more["subscriptions"] = [
                {"name": "audit", "url": receiver.url("/audit"), "filter": filtered}
            ]
        answer = api.create(provider, receiver.url(f"/{name}"), KEY, name=name, **more)
        assert answer.status == 200, answer
        made[name] = answer.json["id"]
    assert api.call("DELETE", f"/instances/{made['off']}/enabled").status == 200
    begun = time.monotonic()
    sent = {}
    for place, (name, number) in enumerate(made.items()):
        count = FEW if name == "heals" else COUNT
        sent[name], load = feed(ingest.port, count, number, first=place * COUNT)
        load.finish(60)
    expected = {
        "good": {"delivered": COUNT, "filtered": COUNT},
        "heals": {"delivered": FEW},
        "dead": {"dead": COUNT},
        "off": {"queued": COUNT},
    }
    for name, wanted in expected.items():
        path = f"/instances/{made[name]}/events"
        until(
            lambda: dict(states(all_events(api, path))) == wanted,
            60,
            f"{name}: {wanted}, not {states(all_events(api, path))}",
            pause=1.0,
        )
    report(f"{3 * COUNT + FEW} events, each fate told right after {time.monotonic() - begun:.1f} s")
    # Each one is there, with its body and its attempts.
    bodies = {box.provider_id(raw): raw for raw in sent["dead"]}
    for event in all_events(api, f"/instances/{made['dead']}/events"):
        assert event["providerData"].encode() == bodies.pop(json.loads(event["providerData"])["id"])
        attempts = event["notifiedData"][0]["attempts"]
        assert [(each["attempt"], each["status"], each["next"]) for each in attempts] == [
            (1, FATAL, "dead")
        ]
        assert event["status"] == "DISPATCHED"
    assert not bodies
    assert all_events(api, f"/instances/{made['nobody']}/events") == []  # taken, not kept
    whole = all_events(api, "/instances/events", 1000)
    assert len(whole) == 3 * COUNT + FEW
    # One by its id, and by words.
    one = whole[len(whole) // 2]
    found = ask(api, f"/instances/{one['instanceId']}/events/{one['id']}")
    assert found.json["id"] == one["id"]
    told = ask(api, "/instances/events/dispositions?pageSize=1000").json
    messages = [line["message"] for each in told for line in each["notificationData"]]
    assert any("Error delivering event" in message for message in messages)
    # What was off is delivered once it is on.
    assert api.call("PUT", f"/instances/{made['off']}/enabled").status == 200
    path = f"/instances/{made['off']}/events"
    until(lambda: dict(states(all_events(api, path))) == {"delivered": COUNT}, 60, "on again", 1.0)


def test_questions_that_make_no_sense(tour: Stack, provider, receiver) -> None:
    ingest, _ = tour.ingest(), tour.relay()
    api = api_of(ingest)
    number = api.create(provider, receiver.url("/e"), KEY).json["id"]
    other = Api(ingest.admin, OTHER, OTHER_ORGANIZATION)
    for query, word in (
        ("from=yesterday", "from"),
        ("to=2026-13-01T00:00:00Z", "to"),
        ("from=2026-11-24T10:00:00Z&to=2026-11-24T09:00:00Z", "from"),
        ("pageSize=0", "pageSize"),
        ("pageSize=1001", "pageSize"),
        ("nextPage=x", "nextPage"),
        ("nextPage=aDEgeA==", "nextPage"),
    ):
        answer = api.call("GET", f"/instances/{number}/events?{query}")
        assert answer.status == 400 and answer.json["message"].startswith(word), (query, answer)
    assert other.call("GET", f"/instances/{number}/events").status == 404
    assert other.call("GET", "/instances/events").json == []
    assert ask(api, f"/instances/{number}/events/nothing").status == 404
    good = {"from": stamp(hours=1), "to": stamp(hours=-1), "source": "dead"}
    for body, word in (
        ({}, "from"),
        ({**good, "to": stamp(hours=2)}, "from"),
        ({**good, "source": "all"}, "source"),
        ({**good, "rate": 0}, "rate"),
        ({**good, "rate": 10_001}, "rate"),
        ({**good, "eventIds": []}, "eventIds"),
        ({**good, "subscription": "none"}, "subscription"),
        ({**good, "dryRun": 1}, "dryRun"),
        ({**good, "more": 1}, "more"),
    ):
        answer = api.call("POST", f"/instances/{number}/events/replay", body)
        assert answer.status == 400 and answer.json["message"].startswith(word), (body, answer)
    assert other.call("POST", f"/instances/{number}/events/replay", good).status == 404
    assert api.call("GET", f"/instances/{number}/events/replay/x").status == 404


def replayed(api: Api, number: int, body: dict, seconds: float = 60) -> dict:
    started = api.call("POST", f"/instances/{number}/events/replay", body)
    assert started.status == 200, started
    path = f"/instances/{number}/events/replay/{started.json['id']}"
    until(lambda: api.call("GET", path).json["status"] != "running", seconds, "it is over", 0.1)
    return api.call("GET", path).json


def test_sent_again_by_api(tour: Stack, provider, receiver) -> None:
    ingest, _ = tour.ingest(), tour.relay()
    api = api_of(ingest)
    receiver.answer("/e", Rule(status=FATAL))
    made = api.create(provider, receiver.url("/e"), KEY, delivery={"fatal_statuses": [FATAL]})
    number = made.json["id"]
    _, load = feed(ingest.port, 60, number)
    load.finish(60)
    path = f"/instances/{number}/events"
    until(lambda: dict(states(all_events(api, path))) == {"dead": 60}, 60, "all are dead", 1.0)
    receiver.answer("/e", Rule(status=200))
    receiver.clear()
    window = {"from": stamp(hours=1), "to": stamp(hours=-1), "rate": 1000}
    dry = replayed(api, number, {**window, "source": "dead", "dryRun": True})
    assert (dry["status"], dry["selected"], dry["sent"]) == ("finished", 60, 0)
    done = replayed(api, number, {**window, "source": "dead"})
    assert (done["status"], done["selected"], done["sent"]) == ("finished", 60, 60)
    receiver.wait_for(60, 30)
    # History: two of them once more.
    chosen = [event["id"] for event in all_events(api, path)[:2]]
    receiver.clear()
    done = replayed(api, number, {**window, "source": "events", "eventIds": chosen})
    assert done["sent"] == 2
    receiver.wait_for(2, 30)
    ids = Counter(d.headers["elements-webhook-id"] for d in receiver.deliveries())
    assert ids == Counter(chosen)


@pytest.mark.parametrize("source", ["events", "dead"])
def test_goes_on_after_kills_and_sends_nothing_twice(
    tour: Stack, provider, receiver, source
) -> None:
    ingest, _ = tour.ingest(), tour.relay()
    api = api_of(ingest)
    delivery = {"fatal_statuses": [FATAL]}
    number = api.create(provider, receiver.url("/e"), KEY, delivery=delivery).json["id"]
    fate = "delivered" if source == "events" else "dead"
    if source == "dead":
        receiver.answer("/e", Rule(status=FATAL))
    _, load = feed(ingest.port, 300, number)
    load.finish(60)
    receiver.wait_for(300, 60)
    events = f"/instances/{number}/events"
    until(lambda: states(all_events(api, events)) == {fate: 300}, 30, f"all are {fate}", 0.5)
    if source == "dead":
        receiver.answer("/e", Rule(status=200))
    receiver.clear()
    window = {"from": stamp(hours=1), "to": stamp(hours=-1), "source": source}
    started = api.call("POST", f"/instances/{number}/events/replay", {**window, "rate": 50}).json
    path = f"/instances/{number}/events/replay/{started['id']}"
    for sent in (40, 120, 200):
        until(lambda: api.call("GET", path).json["sent"] >= sent, 30, f"{sent} are sent", 0.05)
        ingest.kill()
        ingest = tour.ingest()
        api = api_of(ingest)
    until(lambda: api.call("GET", path).json["status"] == "finished", 60, "it goes on", 0.2)
    assert api.call("GET", path).json["sent"] == 300
    receiver.wait_for(300, 60)
    ids = Counter(d.headers["elements-webhook-id"] for d in receiver.deliveries())
    assert len(ids) == 300 and set(ids.values()) == {1}
    # What was a dead letter is told as delivered from then on, and was counted.
    until(lambda: states(all_events(api, events)) == {"delivered": 300}, 10, "delivered", 0.5)
    told = all_dispositions(api)
    last = Counter(each["notificationData"][-1]["message"].split(": ")[1] for each in told)
    assert last == {"delivered": 300}


def test_four_at_once_and_one_may_be_stopped(tour: Stack, provider, receiver) -> None:
    ingest, _ = tour.ingest(), tour.relay()
    api = api_of(ingest)
    number = api.create(provider, receiver.url("/e"), KEY).json["id"]
    _, load = feed(ingest.port, 200, number)
    load.finish(60)
    receiver.wait_for(200, 60)
    path = f"/instances/{number}/events/replay"
    slow = {"from": stamp(hours=1), "to": stamp(hours=-1), "source": "events", "rate": 2}
    ids = []
    for _ in range(4):
        started = api.call("POST", path, slow)
        assert started.status == 200, started
        ids.append(started.json["id"])
    assert api.call("POST", path, slow).status == 409
    for each in ids:
        stopped = api.call("DELETE", f"{path}/{each}")
        assert stopped.status == 200 and stopped.json["status"] == "stopped", stopped
    assert api.call("GET", f"{path}/{ids[0]}").json["status"] == "stopped"
    assert api.call("POST", path, {**slow, "dryRun": True}).status == 200
