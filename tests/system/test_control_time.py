"""What the control process does by the clock: tokens before they end, unused grants, clean-ups.

The times stand in the documents in plain; the tests write them anew, as if days had passed.
"""

from __future__ import annotations

import re
import time

from confluent_kafka import Producer
from support.box_provider import FOLDER, api_of, connected
from support.kafka_log import read_topic
from support.stack import KEY, Stack
from support.wait import hold, until

MINUTE, DAY = 60_000, 86_400_000


def newest(tour: Stack, key: str) -> bytes | None:
    topic = tour.prefix + "instances"
    found = [r.value for r in read_topic(tour.broker.bootstrap, topic) if r.key == key.encode()]
    return (found[-1] or None) if found else None


def set_time(tour: Stack, key: str, name: str, milliseconds: int) -> None:
    """Writes the document at `key` again with another time, told from now."""
    value = newest(tour, key)
    assert value is not None
    at = int(time.time() * 1000) + milliseconds
    changed, count = re.subn(rf'"{name}":\d+'.encode(), f'"{name}":{at}'.encode(), value)
    assert count == 1, value
    producer = Producer({"bootstrap.servers": tour.broker.bootstrap})
    producer.produce(tour.prefix + "instances", key=key, value=changed, partition=0)
    assert producer.flush(10) == 0


def test_an_access_token_is_replaced_five_minutes_before_its_end(
    tour: Stack, provider, receiver
) -> None:
    ingest, api, made = connected(tour, provider, receiver)
    for left, refreshes in ((6 * MINUTE, 0), (4 * MINUTE, 1)):
        seen = ingest.metric("eventrelay_registry_changes_total")
        set_time(tour, str(made["id"]), "expires", left)
        until(
            lambda n=seen: ingest.metric("eventrelay_registry_changes_total") > n, 10, "it is read"
        )
        assert api.call("GET", "/webhooks", token=made["token"]).status == 200
        assert provider.state()["refreshes"] == refreshes


def test_a_grant_that_nobody_uses_is_kept_alive(tour: Stack, provider, receiver) -> None:
    """Box's refresh token ends after 60 days; it is used once after 30."""
    ingest = tour.ingest()
    api = api_of(ingest)
    unused, used = (api.create(provider, receiver.url("/e"), KEY).json["id"] for _ in range(2))
    assert ingest.end()[0] == 0
    set_time(tour, str(unused), "refreshed", -31 * DAY)
    set_time(tour, str(used), "refreshed", -29 * DAY)
    ingest = tour.ingest()
    api = api_of(ingest)
    until(lambda: provider.state()["refreshes"] == 1, 20, "one is refreshed")
    hold(3, lambda: provider.state()["refreshes"] == 1, "one alone")
    for each in (unused, used):
        assert api.call("GET", f"/instances/{each}").json["valid"] is True


def test_a_clean_up_is_tried_for_a_day_and_then_told(tour: Stack, provider, receiver) -> None:
    ingest = tour.ingest()
    api = api_of(ingest)
    ids = []
    for _ in range(2):
        made = api.create(provider, receiver.url("/e"), KEY).json
        hook = {**FOLDER, "target": {"id": str(1000 + len(ids)), "type": "folder"}}
        assert api.call("POST", "/webhooks", hook, made["token"]).status == 200
        ids.append(made["id"])
    provider.fault("DELETE /2.0/webhooks", 500, count=1000)
    for each in ids:
        assert api.call("DELETE", f"/instances/{each}").status == 200
    hold(2, lambda: newest(tour, f"cleanup/{ids[0]}") is not None, "it is to be tried again")
    assert ingest.end()[0] == 0
    set_time(tour, f"cleanup/{ids[0]}", "deleted", -25 * 60 * MINUTE)
    set_time(tour, f"cleanup/{ids[1]}", "deleted", -23 * 60 * MINUTE)
    ingest = tour.ingest()
    left = "webhooks or tokens of a deleted instance are left at Box"
    until(lambda: ingest.said(left), 20, "it is told")
    until(lambda: newest(tour, f"cleanup/{ids[0]}") is None, 10, "and given up")
    assert [line["instance"] for line in ingest.said(left)] == [str(ids[0])] or [
        line["instance"] for line in ingest.said(left)
    ] == [ids[0]]
    assert newest(tour, f"cleanup/{ids[1]}") is not None, "the other goes on"


def test_a_clean_up_with_a_token_that_has_ended(tour: Stack, provider, receiver) -> None:
    """Box does not take the access token, whatever the document says of its end."""
    _, api, made = connected(tour, provider, receiver)
    assert api.call("POST", "/webhooks", FOLDER, made["token"]).status == 200
    provider.post("expire")
    assert api.call("DELETE", f"/instances/{made['id']}").status == 200
    until(lambda: provider.state()["webhooks"] == [], 30, "the webhook is gone")
    until(lambda: provider.state()["refresh_tokens"] == 0, 30, "the tokens are given back")


def test_a_pause_that_box_asks_for_is_kept(tour: Stack, provider, receiver) -> None:
    _, api, made = connected(tour, provider, receiver)
    provider.fault("/2.0/webhooks", 429, retry_after="3")
    first = api.call("GET", "/webhooks", token=made["token"])
    assert first.status == 429 and first.headers["Retry-After"] == "3", first
    requests = provider.state()["requests"]
    begin = time.monotonic()
    second = api.call("GET", "/webhooks", token=made["token"])
    assert second.status == 429 and 1 <= int(second.headers["Retry-After"]) <= 3, second
    assert provider.state()["requests"] == requests + 1, "Box was not asked again"  # this state
    until(lambda: api.call("GET", "/webhooks", token=made["token"]).status == 200, 10, "later")
    assert time.monotonic() - begin > 2
