"""What the pages of the console ask for beside the API: at a glance, endpoints, dead letters."""

from __future__ import annotations

import pytest
from support.box_provider import (
    all_pages,
    ORGANIZATION,
    OTHER,
    OTHER_ORGANIZATION,
    USER,
    VIEWER,
    Answer,
    api_of,
    http,
)
from support.receiver import Rule
from support.stack import KEY, Stack, feed
from support.wait import until

FATAL = 418
COUNT = 60


@pytest.fixture
def slow(tour: Stack) -> Stack:
    tour.config["retry"] = {"delays": ["1s", "1h"], "jitter": 0}
    return tour


def data(ingest, path: str, user: str = USER, organization: str = ORGANIZATION) -> Answer:
    """Asked again where the machine is too slow for the two seconds of the history."""
    url = f"http://127.0.0.1:{ingest.admin}/console/data/{path}"
    headers = {"Authorization": f"User {user}, Organization {organization}"}
    for _ in range(20):
        answer = http("GET", url, headers=headers)
        if answer.status != 503:
            break
    return answer


def all_rows(ingest, path: str) -> list[dict]:
    return all_pages(lambda page: data(ingest, page), path)


def test_at_a_glance_and_by_endpoint(slow: Stack, provider, receiver) -> None:
    ingest, _ = slow.ingest(), slow.relay()
    api = api_of(ingest)
    receiver.answer("/dead", Rule(status=FATAL))
    receiver.answer("/off", Rule(status=503))
    receiver.answer("/fails", Rule(status=503))
    made = {}
    for name, delivery in (
        ("good", {}),
        ("dead", {"fatal_statuses": [FATAL]}),
        ("off", {"failure_policy": "queue"}),
        ("fails", {}),
    ):
        answer = api.create(provider, receiver.url(f"/{name}"), KEY, name=name, delivery=delivery)
        assert answer.status == 200, answer
        made[name] = answer.json["id"]
    idle = api.call("POST", "/instances", {"name": "idle", "element": {"key": "github"}}).json["id"]
    assert api.call("DELETE", f"/instances/{idle}/enabled").status == 200
    counts = {"good": COUNT, "dead": COUNT, "off": 3, "fails": 2}
    for place, (name, count) in enumerate(counts.items()):
        _, load = feed(ingest.port, count, made[name], first=place * COUNT)
        load.finish(60)
    receiver.wait_for(2 * 2, 30, "/fails")

    def whole() -> dict | None:
        told = data(ingest, "overview").json
        came = sum(each["events"] for each in told["minutes"])
        failed = sum(each["failed"] for each in told["minutes"])
        return told if (came, failed) >= (sum(counts.values()), COUNT + 5) else None

    told = until(whole, 30, "all is counted", 0.5)
    assert len(told["minutes"]) == 61
    assert sum(each["delivered"] for each in told["minutes"]) == COUNT
    assert told["half"] <= told["most"]
    assert told["endpoints"]["off"] == 1 and told["endpoints"]["parked"] == 2
    assert told["registry"] == {
        "instances": 5,
        "off": 1,
        "invalid": 0,
        "writable": True,
        "replays": 0,
    }
    rows = {each["name"]: each for each in all_rows(ingest, "endpoints")}
    assert {name: row["state"] for name, row in rows.items()} == {
        "good": "on",
        "dead": "on",
        "off": "off",
        "fails": "retrying",
    }
    assert rows["off"]["since"] and rows["off"]["behind"] >= 1
    assert rows["fails"]["parked"] == 2
    assert (rows["dead"]["delivered"], rows["dead"]["failed"]) == (0, COUNT)
    troubled = {each["name"] for each in all_rows(ingest, "endpoints?trouble=1")}
    assert troubled == {"dead", "off", "fails"}
    one = all_rows(ingest, f"endpoints?instance={made['off']}")
    assert [each["name"] for each in one] == ["off"]
    # Each dead letter once, over pages of fifty, also after it was given up a second time.
    letters = all_rows(ingest, "dead")
    assert len({each["id"] for each in letters}) == len(letters) == COUNT
    assert {(each["instanceId"], each["attempts"], each["state"]) for each in letters} == {
        (made["dead"], 1, "dead")
    }
    again = {"from": letters[0]["at"], "to": "2099-01-01T00:00:00Z", "source": "dead"}
    again["eventIds"] = [letters[0]["id"]]
    path = f"/instances/{made['dead']}/events/replay"
    receiver.clear()
    assert api.call("POST", path, again).status == 200
    receiver.wait_for(1, 30, "/dead")
    until(lambda: len(data(ingest, "dead").json) > 0, 10, "they can be read")
    newest = until(
        lambda: next(
            (e for e in data(ingest, "dead").json if e["at"] > letters[0]["at"]), None
        ),
        30,
        "it is given up again",
        0.2,
    )
    assert newest["id"] == letters[0]["id"]
    first_page = data(ingest, "dead").json
    assert len({each["id"] for each in first_page}) == len(first_page)


def test_who_may_ask_and_what_makes_no_sense(slow: Stack, provider, receiver) -> None:
    ingest, _ = slow.ingest(), slow.relay()
    api = api_of(ingest)
    number = api.create(provider, receiver.url("/e"), KEY).json["id"]
    for path in ("overview", "endpoints", "dead"):
        bare = http("GET", f"http://127.0.0.1:{ingest.admin}/console/data/{path}")
        assert bare.status == 401, bare
        assert data(ingest, path, "wrong").status == 401
        assert data(ingest, path, VIEWER).status == 200
        assert data(ingest, path, OTHER, OTHER_ORGANIZATION).status == 200
    for path in (f"endpoints?instance={number}", f"dead?instance={number}"):
        assert data(ingest, path).status == 200
        foreign = data(ingest, path, OTHER, OTHER_ORGANIZATION)
        none = data(ingest, path.replace(str(number), "987654"))
        assert foreign.status == none.status == 404
        told = foreign.json["message"].replace(str(number), "N")
        assert told == none.json["message"].replace("987654", "N")
        assert data(ingest, path.replace(str(number), "x")).status == 404
    for path in ("endpoints?nextPage=x", "dead?nextPage=x"):
        answer = data(ingest, path)
        assert answer.status == 400 and answer.json["message"].startswith("nextPage"), answer
    assert data(ingest, "endpoints", OTHER, OTHER_ORGANIZATION).json == []
    assert data(ingest, "overview", OTHER, OTHER_ORGANIZATION).json["registry"]["instances"] == 0
