"""What a question of the history costs with 10,000,000 records in the log."""

from __future__ import annotations

import json
import os
import time

import pytest
from confluent_kafka import Producer
from support.box_provider import api_of
from support.stack import KEY, Stack

pytestmark = [pytest.mark.long, pytest.mark.alone]

COUNT = int(os.environ.get("EVENTRELAY_COST_RECORDS", "10000000"))
STRANGERS = 200_000  # instances whose events stand between those of ours
BODY = json.dumps({"type": "webhook_event", "source": {"type": "file", "name": "x" * 200}})


def fill(stack: Stack, count: int, instances: int, first: int, begin: float, step: float) -> None:
    """Records as ingest writes them, many times faster than it does: number N is of instance
    `first` + N % `instances`, and was received `step` seconds after the one before it."""
    settings = {
        "bootstrap.servers": stack.broker.bootstrap,
        "acks": "1",
        "linger.ms": 20,
        "compression.type": "lz4",
        "partitioner": "murmur2_random",
        "queue.buffering.max.messages": 500_000,
    }
    producer = Producer(settings)
    for number in range(count):
        at = int((begin + number * step) * 1000)
        instance = str(first + number % instances)
        headers = [
            ("er-v", "1"),
            ("er-id", event_id(number)),
            ("er-element", "box"),
            ("er-instance", instance),
            ("er-event-type", "CREATED"),
            ("er-object-type", "file"),
            ("er-object-id", str(number)),
            ("er-received", str(at)),
            ("er-content-type", "application/json"),
        ]
        while True:
            try:
                producer.produce(stack.events, BODY, instance, headers=headers, timestamp=at)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1000 == 0:
            producer.poll(0)
    assert producer.flush(60) == 0


def event_id(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012x}"


def fill_sums(stack: Stack, instance: int, begin: float) -> None:
    """What one shard of the relay writes in a day, with 20 instances that are busy."""
    producer = Producer({"bootstrap.servers": stack.broker.bootstrap, "linger.ms": 20})
    for number in range(86_000 // 5):
        second = int(begin) + 5 * number
        seconds = [[(second + more) % 60, 6, 6, 0] for more in range(5 - second % 5)]
        rows = [[instance + other, second // 60, seconds, [[4, 25], [5, 5]]] for other in range(20)]
        producer.produce(stack.prefix + "sums", json.dumps({"v": 1, "rows": rows}), partition=0)
        producer.poll(0)
    assert producer.flush(60) == 0


class Costs:
    """Asks, and reads out of the log of the process what an answer has cost."""

    def __init__(self, ingest):
        self.ingest = ingest
        self.api = api_of(ingest)

    def lines(self) -> list[dict]:
        lines = [json.loads(line) for line in self.ingest.log().splitlines() if '"records"' in line]
        return [line for line in lines if line.get("msg") == "history answered"]

    def ask(self, path: str) -> tuple[object, int, int, float]:
        known = len(self.lines())
        begin = time.monotonic()
        answer = self.api.call("GET", path)
        took = time.monotonic() - begin
        fresh = self.lines()[known:]
        records = sum(line["records"] for line in fresh)
        return answer, records, sum(line["ms"] for line in fresh), took


def test_what_a_question_costs(tour: Stack, provider, receiver, report) -> None:
    tour.config["log"]["level"] = "debug"
    tour.config["topics"]["partitions"] = 12
    ingest = tour.ingest()
    api = api_of(ingest)
    busy = api.create(provider, receiver.url("/e"), KEY).json["id"]
    rare = api.create(provider, receiver.url("/e"), KEY).json["id"]
    # A day: a quarter of the events are of others, then of one instance of ours, and so again.
    begin = time.time() - 86_000
    span = 86_000 / 4
    step = span / (COUNT // 4)
    fill(tour, 5, 1, rare, begin, step)
    for place, (first, instances) in enumerate(
        ((10_000_000, STRANGERS), (busy, 1), (10_000_000, STRANGERS), (busy, 1))
    ):
        fill(tour, COUNT // 4, instances, first, begin + place * span, step)
    fill(tour, 5, 1, rare, time.time() - 60, 1)
    fill_sums(tour, busy, begin)
    costs = Costs(ingest)
    costs.ask("/instances/events?pageSize=1")  # its clients have found the brokers
    event = event_id(7)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin + span + 2))
    lines = []
    for what, path in (
        ("newest 50 of a rare instance", f"/instances/{rare}/events?pageSize=50"),
        ("newest 50 of a busy instance", f"/instances/{busy}/events?pageSize=50"),
        ("newest 1,000 of a busy instance", f"/instances/{busy}/events?pageSize=1000"),
        ("newest 50 of the account", "/instances/events?pageSize=50"),
        ("1,000 dispositions", "/instances/events/dispositions?pageSize=1000"),
        ("one event by its id and time", f"/instances/{busy}/events/{event}?to={at}"),
        ("one event by its id, 18 hours old", f"/instances/{busy}/events/{event}"),
        ("counts of a day by hours", "/instances/events/analytics"),
        ("counts of an hour by minutes", f"/instances/events/analytics?interval=minute&from="
         + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))),
    ):
        answer, records, ms, took = costs.ask(path)
        rows = len(answer.json) if isinstance(answer.json, list) else answer.status
        more = "and a token" if "Elements-Next-Page-Token" in answer.headers else "whole"
        cost = f"{records} records in {ms} ms"
        lines.append(f"{what}: {rows} in {took * 1000:.0f} ms, {cost}, {more}")
        # Bounded, whatever is asked.
        assert records <= 100_000 and took < 4, lines[-1]
        assert "by its id and time" not in what or (answer.status == 200 and records < 10_000)
        assert answer.status in (200, 404, 503), answer
    report(f"{COUNT} records in the log:\n    " + "\n    ".join(lines))
