"""The history against the truth: 10,000 events of every fate, each record right, sums equal."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict

import pytest
from support import box
from support.box_provider import OTHER, OTHER_ORGANIZATION, Api, api_of, all_pages
from support.receiver import Rule
from support.stack import KEY, Stack, feed
from support.wait import until

SCALE = int(os.environ.get("EVENTRELAY_TRUTH_EVENTS", "10000"))
FATAL = 418
FEW = 20  # of those that are tried again: a breaker lets few attempts through
PARKED = 4
RIGHT_WITHIN = 10.0
ANALYTICS = "/instances/events/analytics"


@pytest.fixture
def slow(tour: Stack) -> Stack:
    # What fails for good stands in the last delay topic while the test looks.
    tour.config["retry"] = {"delays": ["1s", "1h"], "jitter": 0}
    return tour


def ask(api: Api, path: str):
    """A question of the history; where the machine is too slow for its two seconds, once more."""
    for _ in range(20):
        answer = api.call("GET", path)
        if answer.status != 503:
            return answer
    return answer


def every_page(api: Api, path: str) -> list[dict]:
    return all_pages(lambda page: ask(api, page), path)


def stamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def wrong_of(events: list[dict], truth: dict[str, tuple[str, dict[str, str]]]) -> list:
    """Each event whose record does not say what its provider id stands for."""
    wrong = []
    for event in events:
        name, states = truth[json.loads(event["providerData"])["id"]]
        told = {each["subscription"].partition("/")[2]: each["state"]
                for each in event["notifiedData"]}
        if told != states:
            wrong.append((name, event["id"], told))
    return wrong


def test_every_record_is_right_and_the_sums_are_equal(slow, provider, receiver, report) -> None:
    ingest, _ = slow.ingest(), slow.relay()
    api = api_of(ingest)
    receiver.answer("/dead", Rule(status=FATAL))
    receiver.answer("/parked", Rule(status=503))
    receiver.answer("/heals", Rule(status=503, times=5))
    plan = {
        "good": (SCALE * 5 // 10 - FEW - PARKED, {"": "delivered", "audit": "filtered"}),
        "dead": (SCALE * 2 // 10, {"": "dead"}),
        "off": (SCALE * 3 // 10, {"": "queued"}),
        "heals": (FEW, {"": "delivered"}),
        "parked": (PARKED, {"": "retry"}),
    }
    made, truth = {}, {}
    begin = time.time()
    filtered = {"event_types": ["DELETED"]}
    for name in plan:
        more: dict = {"delivery": {"fatal_statuses": [FATAL]}}
        if name == "good":
            more["subscriptions"] = [
                {"name": "audit", "url": receiver.url("/audit"), "filter": filtered}
            ]
        answer = api.create(provider, receiver.url(f"/{name}"), KEY, name=name, **more)
        assert answer.status == 200, answer
        made[name] = answer.json["id"]
    turned = f"/instances/{made['off']}/subscriptions/callback/enabled"
    assert api.call("DELETE", turned).status == 200
    first = 0
    for name, (count, states) in plan.items():
        sent, load = feed(ingest.port, count, made[name], first=first)
        load.finish(60)
        first += count
        for raw in sent:
            truth[box.provider_id(raw)] = (name, states)
    expected = {"/good": plan["good"][0], "/dead": plan["dead"][0]}
    attempts = {"/heals": FEW + 5, "/parked": 2 * PARKED}

    def seen() -> Counter:
        return Counter(each.path for each in receiver.deliveries())

    def all_tried() -> bool:
        paths = seen()
        return all(paths[path] >= count for path, count in {**expected, **attempts}.items())

    until(all_tried, 60, f"every attempt was made: {seen()}", 0.2)
    settled = time.monotonic()
    list_all = f"/instances/events?pageSize=1000&from={stamp(begin - 60)}"

    def all_right() -> bool:
        events = every_page(api, list_all)
        return len(events) == len(truth) and not wrong_of(events, truth)

    until(all_right, 60, "every record is right", 0.2)
    took = time.monotonic() - settled
    asked = time.monotonic()
    events = every_page(api, list_all)
    reading = time.monotonic() - asked
    assert took - reading <= RIGHT_WITHIN, took
    status = Counter((truth[json.loads(e["providerData"])["id"]][0], e["status"]) for e in events)
    assert status == {
        ("good", "NOTIFIED"): plan["good"][0],
        ("heals", "NOTIFIED"): FEW,
        ("dead", "DISPATCHED"): plan["dead"][0],
        ("parked", "DISPATCHED"): PARKED,
        ("off", "RECEIVED"): plan["off"][0],
    }
    # Every attempt that failed has its line.
    for event in events:
        name, _ = truth[json.loads(event["providerData"])["id"]]
        lines = [a for each in event["notifiedData"] for a in each["attempts"]]
        if name == "dead":
            assert [(a["attempt"], a["status"], a["next"]) for a in lines] == [(1, FATAL, "dead")]
        if name == "parked":
            assert [(a["attempt"], a["status"], a["next"]) for a in lines] == [
                (1, 503, "retry"),
                (2, 503, "retry"),
            ]
        if name in ("good", "off"):
            assert lines == []
    # The sums: what came in by instance, and what the receiver has answered.
    answered: dict[str, Counter] = defaultdict(Counter)
    for each in receiver.deliveries():
        answered[each.path]["success" if each.status == 200 else "failed"] += 1
    window = f"from={stamp(begin - 60)}&to={stamp(time.time() + 60)}&interval=minute"

    def sums() -> dict[int, Counter]:
        out: dict[int, Counter] = defaultdict(Counter)
        for bucket in every_page(api, f"{ANALYTICS}/instances?{window}"):
            assert bucket["total"] == sum(each["count"] for each in bucket["records"])
            for each in bucket["records"]:
                out[each["instanceId"]].update(
                    {key: each[key] for key in ("count", "success", "failed")}
                )
        return out

    wanted = {
        number: {
            "count": plan[name][0],
            "success": answered[f"/{name}"]["success"],
            "failed": answered[f"/{name}"]["failed"],
        }
        for name, number in made.items()
    }
    until(lambda: {k: dict(v) for k, v in sums().items()} == wanted, 10, f"{sums()} = {wanted}")
    plain = every_page(api, f"{ANALYTICS}?{window}")
    assert sum(each["count"] for each in plain) == len(truth)
    accounts = every_page(api, f"{ANALYTICS}/accounts?{window}")
    assert sum(each["total"] for each in accounts) == len(truth)
    records = [one for each in accounts for one in each["records"]]
    assert {each["accountId"] for each in records} == {10}
    total = sum(each["success"] for each in records)
    assert total == sum(each["success"] for each in wanted.values())
    # On again: what waited goes out, each once.
    assert api.call("PUT", turned).status == 200
    until(lambda: seen()["/off"] >= plan["off"][0], 60, "what waited is sent", 0.2)
    ids = Counter(
        each.headers["elements-webhook-id"] for each in receiver.deliveries() if each.path == "/off"
    )
    assert set(ids.values()) == {1} and len(ids) == plan["off"][0]
    report(
        f"{len(truth)} events of 6 fates: every record right {max(took - reading, 0):.1f} s after"
        f" the last attempt; all of them are read in {reading:.1f} s; sums of {len(wanted)}"
        " instances equal"
    )


def test_counts_that_make_no_sense(tour: Stack, provider, receiver) -> None:
    ingest, _ = tour.ingest(), tour.relay()
    api = api_of(ingest)
    hour = "from=2026-11-24T10:00:00Z&to=2026-11-24T11:00:00Z"
    buckets = ask(api, f"{ANALYTICS}?{hour}&interval=minute").json
    assert len(buckets) == 61 and set(buckets[0]) == {"count", "timestamp"}
    assert buckets[0]["timestamp"] == "2026-11-24T10:00:00.000Z"
    assert buckets[-1]["timestamp"] == "2026-11-24T11:00:00.000Z"
    assert len(ask(api, ANALYTICS).json) == 25  # a day by hours
    for query, word in (
        ("from=yesterday", "from"),
        ("from=2026-11-24T10:00:00Z&to=2026-11-24T09:00:00Z", "from"),
        ("interval=week", "interval"),
        (hour + "&interval=second", "interval"),
        ("from=1970-01-01T00:00:00Z&interval=day", "interval"),
        (hour + "&accountIds[]=x", "accountIds[]"),
        (hour + "&nextPage=s1-0", "nextPage"),
        (hour + "&nextPage=x", "nextPage"),
    ):
        for path in (ANALYTICS, f"{ANALYTICS}/instances", f"{ANALYTICS}/accounts"):
            answer = api.call("GET", f"{path}?{query}")
            assert answer.status == 400 and answer.json["message"].startswith(word), (path, answer)
    assert ask(api, f"{ANALYTICS}?{hour}&accountIds[]=10").status == 200
    assert api.call("GET", f"{ANALYTICS}?{hour}&accountIds[]=20").status == 403
    # Another account sees none of it.
    number = api.create(provider, receiver.url("/e"), KEY).json["id"]
    _, load = feed(ingest.port, 5, number)
    load.finish(30)

    def counted(of: Api) -> int:
        return sum(each["count"] for each in ask(of, f"{ANALYTICS}?interval=hour").json)

    until(lambda: counted(api) == 5, 30, "five are counted", 0.2)
    assert counted(Api(ingest.admin, OTHER, OTHER_ORGANIZATION)) == 0


def test_a_relay_that_ends_has_counted_what_it_did(tour: Stack, provider, receiver) -> None:
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    number = api.create(provider, receiver.url("/e"), KEY).json["id"]
    done = 0
    for turn in range(3):
        _, load = feed(ingest.port, 20, number, first=turn * 20)
        load.finish(30)
        receiver.wait_for(done + 20, 30)
        done += 20
        assert relay.end()[0] == 0  # sooner than its five seconds are over
        relay = tour.relay()

        def counted() -> tuple[int, int]:
            rows = ask(api, f"{ANALYTICS}/instances?interval=hour").json
            records = [each for row in rows for each in row["records"]]
            return sum(e["count"] for e in records), sum(e["success"] for e in records)

        until(lambda: counted() == (done, done), 10, f"{done} are counted: {counted()}", 0.2)
