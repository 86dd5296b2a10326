"""The console with 100,000 instances and 1,000 events a second: what open tabs cost whom."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from support import box
from support.box_provider import ORGANIZATION, USER, api_of, http
from support.kafka_log import read_topic
from support.load import Load
from support.programs import Program
from support.stack import KEY, Stack

pytestmark = [pytest.mark.long, pytest.mark.alone]

COUNT = int(os.environ.get("EVENTRELAY_CONSOLE_INSTANCES", "100000"))
RATE = 1000
SECONDS = 20
FIRST = 10_000_000


def cpu(program: Program) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{program.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def multiply(tour: Stack, number: int) -> None:
    """Copies of the document of an instance, as so many further instances of the same account."""
    topic = tour.prefix + "instances"
    [*_, value] = [r.value for r in read_topic(tour.broker.bootstrap, topic)
                   if r.key == str(number).encode()]
    producer = Producer({"bootstrap.servers": tour.broker.bootstrap, "linger.ms": 20})
    for other in range(FIRST, FIRST + COUNT):
        copy = json.loads(value)
        copy["instance"]["id"] = other
        copy["instance"]["name"] = f"instance {other}"
        producer.produce(topic, json.dumps(copy, separators=(",", ":")), str(other))
        producer.poll(0)
    assert producer.flush(60) == 0


class Tab(threading.Thread):
    """Asks what an open page asks, as often as it does."""

    def __init__(self, base: str, cookie: str, path: str, pause: float):
        super().__init__(daemon=True)
        self.url, self.headers, self.pause = base + path, {"Cookie": cookie}, pause
        self.took: list[float] = []
        self.refused = 0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            begin = time.monotonic()
            answer = http("GET", self.url, headers=self.headers)
            self.took.append(time.monotonic() - begin)
            self.refused += answer.status != 200
            self._ended.wait(self.pause)

    def end(self) -> None:
        self._ended.set()
        self.join(60)


PAGES = (
    ("/console/live", 2.0),
    ("/console/data/overview", 5.0),
    ("/elements/api-v2/instances?pageSize=50", 10.0),
    ("/console/data/endpoints?trouble=1", 10.0),
)


def test_open_tabs(tour: Stack, provider, receiver, report) -> None:
    ingest = tour.ingest()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/cb"), KEY)
    number = made.json["id"]
    plain = api.call("POST", "/instances", {"name": "g", "element": {"key": "github"}})
    assert plain.status == 200, plain
    assert ingest.end()[0] == 0
    multiply(tour, plain.json["id"])
    begin = time.monotonic()
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    assert ingest.metric("eventrelay_registry_instances") == COUNT + 2
    report(f"{COUNT} instances, ready after {time.monotonic() - begin:.1f} s")
    base = f"http://127.0.0.1:{ingest.admin}"
    signed = http("POST", base + "/console/session", {"user": USER, "organization": ORGANIZATION})
    cookie = signed.headers["Set-Cookie"].split(";")[0]
    place = 0
    for tabs in (0, 1, 4, 0):
        bodies = [box.body(n) for n in range(place, place + RATE * SECONDS)]
        place += len(bodies)
        load = Load(ingest.port, [box.v2_request(number, raw) for raw in bodies], rate=RATE)
        open_tabs = [Tab(base, cookie, *page) for page in PAGES for _ in range(tabs)]
        receiver.clear()
        before = cpu(ingest), cpu(relay)
        load.start()
        for tab in open_tabs:
            tab.start()
        load.finish(120)
        receiver.wait_for(len(bodies), 60)
        used = cpu(ingest) - before[0], cpu(relay) - before[1]
        for tab in open_tabs:
            tab.end()
        assert set(load.statuses()) == {202}
        text = f"{tabs} tabs of each page: ingest {100 * used[0] / load.seconds:.0f} % of a core, "
        text += f"relay {1e6 * used[1] / len(bodies):.0f} us an event"
        for path, _ in PAGES:
            mine = [tab for tab in open_tabs if tab.url.endswith(path)]
            took = sorted(t for tab in mine for t in tab.took)
            if took:
                refused = sum(tab.refused for tab in mine)
                half, last = took[len(took) // 2], took[-1]
                text += f"\n      {path}: {len(took)} answers, half in {half:.2f} s,"
                text += f" all in {last:.2f} s, {refused} not now"
        report(text)
