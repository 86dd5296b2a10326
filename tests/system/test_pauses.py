"""What a failure leads to, by account and by instance; subscriptions paused and resumed by API."""

from __future__ import annotations

from collections import Counter
from urllib.parse import quote

import pytest
from support.box_provider import OTHER, OTHER_ORGANIZATION, VIEWER, Api, api_of
from support.receiver import Rule
from support.stack import KEY, Stack, feed
from support.wait import hold, until

POLICY = "notification.webhook.failure.policy"
DELIVERIES = "/notifications/subscriptions/deliveries"
QUEUED = "channel='webhook' and status='queued'"
COUNT = 40


@pytest.fixture
def fast(tour: Stack) -> Stack:
    tour.config["retry"] = {"delays": ["1s", "2s"], "jitter": 0}
    return tour


def where(url: str = "") -> str:
    text = QUEUED + (f" and config.url='{url}'" if url else "")
    return f"{DELIVERIES}?where={quote(text)}"


def states(api: Api, number: int) -> Counter:
    answer = api.call("GET", f"/instances/{number}/events?pageSize=1000")
    if answer.status != 200:
        return Counter({"not now": 1})
    return Counter(each["state"] for event in answer.json for each in event["notifiedData"])


def ids(receiver, path: str) -> Counter:
    return Counter(
        each.headers["elements-webhook-id"] for each in receiver.deliveries() if each.path == path
    )


def test_settings_of_an_account(fast: Stack, provider, receiver) -> None:
    ingest = fast.ingest()
    api = api_of(ingest)
    other = Api(ingest.admin, OTHER, OTHER_ORGANIZATION)
    assert api.call("GET", "/accounts/settings").json == {POLICY: "retry"}
    assert api.call("PATCH", "/accounts/settings", {POLICY: "queue"}).json == {POLICY: "queue"}
    assert api.call("GET", "/accounts/10/settings").json == {POLICY: "queue"}
    assert other.call("GET", "/accounts/settings").json == {POLICY: "retry"}
    # The default of what is made from now on; `delivery` wins.
    queued = api.create(provider, receiver.url("/a"), KEY).json
    assert queued["delivery"]["failure_policy"] == "queue"
    own = api.create(provider, receiver.url("/a"), KEY, delivery={"failure_policy": "retry"}).json
    assert "failure_policy" not in own["delivery"]  # the default is not shown
    assert api.call("POST", "/accounts/10/settings", {POLICY: "retry"}).status == 200
    retried = api.create(provider, receiver.url("/a"), KEY).json
    assert "failure_policy" not in retried["delivery"]
    assert retried["delivery"]["exhausted"] == "queue"
    for body, word in (
        ({}, POLICY),
        ({POLICY: "drop"}, POLICY),
        ({POLICY: None}, POLICY),
        ({POLICY: "retry", "more": 1}, "more"),
    ):
        answer = api.call("PATCH", "/accounts/settings", body)
        assert answer.status == 400 and answer.json["message"].startswith(word), (body, answer)
    for path in ("/accounts/20/settings", "/accounts/11/settings", "/accounts/x/settings"):
        assert api.call("GET", path).status == 404
        assert api.call("PATCH", path, {POLICY: "queue"}).status == 404
    viewer = Api(ingest.admin, VIEWER)
    assert viewer.call("GET", "/accounts/settings").json == {POLICY: "retry"}
    assert viewer.call("PATCH", "/accounts/settings", {POLICY: "queue"}).status == 403
    # It outlives the process.
    assert api.call("PATCH", "/accounts/settings", {POLICY: "queue"}).status == 200
    ingest.kill()
    assert api_of(fast.ingest()).call("GET", "/accounts/settings").json == {POLICY: "queue"}


def test_queue_waits_at_the_first_failure_and_put_sends_it(
    fast: Stack, provider, receiver
) -> None:
    ingest, relay = fast.ingest(), fast.relay()
    api = api_of(ingest)
    assert api.call("PATCH", "/accounts/settings", {POLICY: "queue"}).status == 200
    receiver.answer("/down", Rule(status=500))
    down = api.create(provider, receiver.url("/down"), KEY).json["id"]
    good = api.create(provider, receiver.url("/good"), KEY).json["id"]
    for number in (down, good):
        _, load = feed(ingest.port, COUNT, number)
        load.finish(60)
    until(lambda: states(api, down) == {"queued": COUNT}, 60, "all wait", 1.0)
    until(lambda: states(api, good) == {"delivered": COUNT}, 60, "the other one goes on", 1.0)
    # Those in flight when the first one failed, and no more.
    calls = sum(ids(receiver, "/down").values())
    assert calls <= 16, calls
    hold(3, lambda: sum(ids(receiver, "/down").values()) == calls, "no further call")
    listed = api.call("GET", where() + "&pageSize=1000")
    assert listed.status == 200 and {each["instanceId"] for each in listed.json} == {down}
    assert len(listed.json) == COUNT
    assert api.call("GET", where("https://elsewhere.example/")).json == []
    assert api.call("PUT", where("https://elsewhere.example/")).json == []
    receiver.answer("/down", Rule(status=200))
    receiver.clear()
    # Nobody has the partition now: the switch counts for whoever takes it.
    relay.end()
    answer = api.call("PUT", where(receiver.url("/down")))
    assert answer.json == [
        {
            "subscriptionId": str(down),
            "instanceId": down,
            "config": {"url": receiver.url("/down")},
        }
    ]
    fast.relay()
    until(lambda: len(ids(receiver, "/down")) == COUNT, 60, "all arrive")
    until(lambda: states(api, down) == {"delivered": COUNT}, 30, "told so", 1.0)
    assert api.call("PUT", where()).json == []
    # Off again after that switch: it stays off, also over a restart.
    receiver.answer("/down", Rule(status=500))
    _, load = feed(ingest.port, 5, down, first=COUNT)
    load.finish(60)
    until(lambda: states(api, down)["queued"] == 5, 30, "they wait", 1.0)
    receiver.clear()
    receiver.answer("/down", Rule(status=200))
    fast.programs[-1].end()
    fast.relay()
    _, load = feed(ingest.port, 5, down, first=COUNT + 5)
    load.finish(60)
    until(lambda: states(api, down)["queued"] == 10, 30, "these too", 1.0)
    assert not ids(receiver, "/down")
    # By its name.
    assert api.call("PUT", f"/instances/{down}/subscriptions/callback/enabled").json == {}
    until(lambda: len(ids(receiver, "/down")) == 10, 30, "all arrive")


def test_retry_goes_off_after_the_schedule_and_nothing_is_given_up(
    fast: Stack, provider, receiver
) -> None:
    ingest, _ = fast.ingest(), fast.relay()
    api = api_of(ingest)
    receiver.answer("/down", Rule(status=500))
    number = api.create(provider, receiver.url("/down"), KEY).json["id"]
    _, load = feed(ingest.port, 3, number)
    load.finish(60)
    until(lambda: states(api, number) == {"queued": 3}, 90, "off after three attempts", 1.0)
    listed = api.call("GET", where())
    assert len(listed.json) == 3
    most = max(len(each["notifiedData"][0]["attempts"]) for each in listed.json)
    assert most == 3, listed.json
    receiver.clear()
    receiver.answer("/down", Rule(status=200))
    assert len(api.call("PUT", where()).json) == 1
    until(lambda: len(ids(receiver, "/down")) == 3, 60, "all arrive")
    until(lambda: states(api, number) == {"delivered": 3}, 30, "told so", 1.0)


def test_one_subscription_off_and_on(fast: Stack, provider, receiver) -> None:
    ingest, _ = fast.ingest(), fast.relay()
    api = api_of(ingest)
    more = {"subscriptions": [{"name": "audit", "url": receiver.url("/audit")}]}
    number = api.create(provider, receiver.url("/main"), KEY, **more).json["id"]
    audit = f"/instances/{number}/subscriptions/audit/enabled"
    assert api.call("DELETE", audit).json == {}
    assert api.call("DELETE", audit).json == {}
    _, load = feed(ingest.port, COUNT, number)
    load.finish(60)
    until(lambda: len(ids(receiver, "/main")) == COUNT, 30, "the callback goes on")
    wanted = {"delivered": COUNT, "queued": COUNT}
    until(lambda: states(api, number) == wanted, 30, "the other waits", 1.0)
    assert not ids(receiver, "/audit")
    # A list that is sent again does not switch.
    assert api.call("PATCH", f"/instances/{number}", more).status == 200
    hold(2, lambda: not ids(receiver, "/audit"), "the other waits")
    assert api.call("PUT", audit).json == {}
    until(lambda: len(ids(receiver, "/audit")) == COUNT, 30, "all arrive")
    base = f"/instances/{number}/subscriptions"
    assert api.call("PUT", f"{base}/none/enabled").status == 404
    other = Api(ingest.admin, OTHER, OTHER_ORGANIZATION)
    assert other.call("PUT", audit).status == 404
    assert Api(ingest.admin, VIEWER).call("DELETE", audit).status == 403
    # What waits because its instance is disabled is not resumed by itself.
    assert api.call("DELETE", f"/instances/{number}/enabled").status == 200
    _, load = feed(ingest.port, 2, number, first=COUNT)
    load.finish(60)
    until(lambda: states(api, number)["queued"] == 4, 30, "both wait", 1.0)
    assert api.call("PUT", where()).json == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "status='queued'",
        "channel='webhook'",
        "channel='mail' and status='queued'",
        "channel='webhook' and status='sent'",
        QUEUED + " and",
        QUEUED + " or config.url='x'",
        QUEUED + " and config.url=x",
        QUEUED + " and config.url='x",
        QUEUED + " and config.url='x' and status='queued'",
        QUEUED + " and config.id='x'",
    ],
)
def test_any_other_where_is_refused(refusing, text: str) -> None:
    for method in ("GET", "PUT"):
        answer = refusing.call(method, f"{DELIVERIES}?where={quote(text)}")
        assert answer.status == 400 and answer.json["message"].startswith("where"), (text, answer)


@pytest.fixture
def refusing(tour: Stack) -> Api:
    return api_of(tour.ingest())
