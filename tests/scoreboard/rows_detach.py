"""Subscriptions that are detached or slow: rows D12 to D15."""

from __future__ import annotations

import json
import math
import time
from typing import Iterable

from scoreboard.board import row
from scoreboard.logs import Caps
from scoreboard.rows_delivery import MIB, ages
from scoreboard.rows_kafka import two_copies
from scoreboard.rows_loss import fail_at, many, worker
from scoreboard.scene import COMMIT_SECONDS, Scene, percentile
from support.endpoints import Behaviour
from support.load import Load
from support.wait import hold, until


def times_of(scene: Scene, path: str, since: float) -> list[float]:
    """When each request to a path was read, after `since`."""
    return sorted(r.at for r in scene.endpoints.rows() if r.path == path and r.at >= since)


def over_ramp(times: list[float], start: float, before: float = 0.0) -> tuple[int, float]:
    """Most requests of any second, and how much over what a slow start from `start` requests a
    second that doubles every 5 s allows at the end of that second (1 = exactly that). Its first
    step may have begun `before` the first request."""
    most, worst, first = 0, 0.0, 0
    for place, at in enumerate(times):
        while times[first] <= at - 1.0:
            first += 1
        count = place - first + 1
        allowed = start * 2 ** math.floor((at - times[0] + before) / 5.0)
        most, worst = max(most, count), max(worst, count / allowed)
    return most, worst


@row("D12", "one of 20 takes 50/s, its events come at 500/s, then it recovers", "CN", 1, 120, 400)
def slow_one(scene: Scene) -> None:
    seconds = 120 if scene.nightly else 15
    scene.config["detach"] = {"after": 200, "sweep_interval": "500ms"}
    scene.subscriber(1, concurrency=16)
    many(scene, 19)
    healthy = list(range(1001, 1020))
    scene.ingest()
    relay = scene.relay()
    scene.pour(380, healthy)
    base = scene.feed(475 * 8, healthy, connections=16, rate=475).finish(60)
    scene.endpoints.wait_taken(380 + len(base.bodies), 30)
    flat = relay.rss()
    scene.endpoints.set("/s/1", Behaviour(rate=50))
    # 500/s for the slow one, 475/s for the others together.
    where = [n for h in healthy for n in (1, h)] + [1]
    count = 975 * seconds
    others = sum(1 for n in range(count) if where[(scene.count() + n) % len(where)] != 1)
    before = sum(scene.endpoints.taken(f"/s/{n}") for n in healthy)
    fed = scene.feed(count, where, connections=32, rate=975).finish(seconds + 60)
    hold(1.0)
    taken = sum(scene.endpoints.taken(f"/s/{n}") for n in healthy) - before
    scene.at_least("others", 100 * taken / others, 95, " %")
    grown = max(s.rss for s in scene.sampler.samples if s.program == "relay") - flat
    scene.at_most("relay grew", grown / MIB, 20, " MiB")
    recovered = time.time()
    scene.endpoints.set("/s/1", None)
    took = scene.settle(seconds * 3 + 60)
    scene.note(f"caught up in {took:.1f} s")
    logs = scene.judge(caps={"relay": Caps(rss=150 * MIB)})
    alone, beside = (
        percentile(ages(logs, f.first, f.first + len(f.bodies), frozenset({"1"})), 0.99) * 1000
        for f in (base, fed)
    )
    scene.at_most(f"p99 of the others (alone {alone:.1f} ms)", beside, 1.25 * alone + 5, " ms")
    parked = sum(r.headers.get("er-sub") == "1" for r in logs.parked)
    state = sum(r.key.startswith("1@") or r.key.startswith("1|") for r in logs.state)
    # A record for each second of cursor, and each event parked at most once before the detach.
    scene.at_most("records written for it", parked + state, 1000 + 4 * (seconds + took))
    # It never failed, so nothing but its concurrency bounds what it gets once it takes more.
    times = times_of(scene, "/s/1", recovered)
    scene.note(f"peak after recovery {over_ramp(times, 1)[0]}/s")
    longest = 10 if seconds < 60 else 60
    scene.at_most("its backlog after recovery", times[-1] - recovered, longest, " s")


POINTS = ("before-detach", "after-detach-ack", "catch-up-begin", "catch-up-event", "before-attach")
POINTS += ("after-attach", "cursor-commit", "before-owner", "after-owner")


@row("D13", "kill, stop, rebalance at each step of detach, catch-up, attach", "CN", 1, 240, 1500)
def detach_steps(scene: Scene) -> None:
    times = 5 if scene.nightly else 1
    scene.config["detach"] = {"after": 20, "sweep_interval": "100ms"}
    scene.config["retry"] = {"delays": ["100ms", "300ms", "1s", "3s"]}
    scene.config["kafka"]["session.timeout.ms"] = 3000
    scene.config["kafka"]["heartbeat.interval.ms"] = 500
    scene.config["relay"]["inflight_max"] = 64
    scene.subscriber(1, concurrency=2, slow_start=0)
    scene.subscriber(2, concurrency=4, ordering="object", slow_start=0)
    many(scene, 2)
    scene.ingest()
    hits = kills = rounds = 0
    still = 0.0
    for _ in range(times):
        # Each point is killed at; standing still past the session costs more time.
        stops = POINTS if scene.nightly else scene.rng.sample(POINTS, 2)
        for name in POINTS:
            for action in ("kill", "stop") if name in stops else ("kill",):
                rounds += 1
                began = time.time()
                scene.endpoints.set("/s/1", Behaviour(rate=100))
                scene.endpoints.set("/s/2", Behaviour(only={"object-3": 500}))
                nth = scene.rng.randint(1, 2)
                one = worker(scene, 0, env=fail_at(name, nth, action), ready=False)
                other = worker(scene, 1) if action == "stop" else None
                fed = scene.feed(
                    400, [1, 1, 2, 1001], connections=8, rate=400, again=frozenset({503}),
                    object_of=lambda n: f"object-{n // 4 % 5}",
                )
                hold(1.0)
                scene.endpoints.set("/s/2", None)
                scene.endpoints.set("/s/1", None)
                fed.finish(30)
                hit = _reached(scene, one, action)
                hits += hit
                if not hit:
                    scene.findings.append(f"{name}:{nth}:{action} was not reached")
                kills += 1
                if action == "stop" and hit:
                    hold(4.0)  # past its session: the other one owns everything
                    one.signal(18)
                    still = max(still, time.time() - began)
                    hold(1.0)
                scene.kill(one)
                if other is not None:
                    scene.kill(other)
                    kills += 1
    relays = [worker(scene, n) for n in range(2)]
    scene.settle(60)
    assert all(one.alive() for one in relays)
    scene.at_least("points reached", hits, rounds * 0.7)
    scene.judge(doubles=kills * (64 + 400 * COMMIT_SECONDS + 100), still=still)


def _reached(scene: Scene, program, action: str) -> bool:
    """Whether the process died or stands still at its point within a few seconds."""

    def there() -> bool:
        if action == "kill":
            return not program.alive()
        text = open(f"/proc/{program.pid}/stat").read()
        return text.rsplit(")", 1)[1].split()[0] == "T"

    if action == "kill":
        scene.wanted_ends.add(program.pid)
    try:
        until(there, 5.0, "at the point")
    except AssertionError:
        return False
    return True


def detached(relay, kind: str = "detached") -> int:
    """Entries that the relay says it has."""
    document = json.loads(relay.get("/api/v1/status")[1])
    return sum(_counts(document, kind))


def switch(relay, to: str, numbers: Iterable[int]) -> float:
    """Pauses subscriptions (off) or resumes them (on) by hand; the seconds it took."""
    asked = [
        f"POST /api/v1/subscriptions/{to}?id={n} HTTP/1.1\r\nHost: relay\r\n"
        "Content-Length: 0\r\n\r\n".encode()
        for n in numbers
    ]
    load = Load(relay.admin, asked, connections=16)
    load.start()
    load.finish(120)
    assert set(load.statuses()) == {200}, load.statuses()
    return load.seconds


def _counts(document, key: str) -> list[int]:
    if isinstance(document, dict):
        here = document.get(key)
        found = [here] if isinstance(here, int) else []
        return found + [n for value in document.values() for n in _counts(value, key)]
    if isinstance(document, list):
        return [n for value in document for n in _counts(value, key)]
    return []


CATCH_UP = ("sweeps", "swept_records")  # as the metrics are named


@row("D14", "10,000 detached subscriptions on 12 partitions come back at once", "N", 1, 0, 900)
def all_back(scene: Scene) -> None:
    count, each = 10_000, 3
    scene.config["topics"]["partitions"] = 12
    scene.config["detach"] = {"after": 100, "sweep_interval": "500ms"}
    sick = range(20_001, 20_001 + count)
    for number in sick:
        scene.subscriber(number, concurrency=4, path=f"/away/{number}", slow_start=0)
    others = scene.more_endpoints()
    scene.endpoints.give_way()
    many(scene, 10, port=others.port)
    fresh = list(range(1001, 1011))
    scene.ingest()
    relay = scene.relay()
    scene.pour(1000, fresh)
    at_first = relay.rss()
    switch(relay, "off", sick)
    scene.pour(count * each, sick, connections=64, rate=1200)
    base = scene.feed(4000, fresh, connections=8, rate=200).finish(60)
    scene.exactly("cursors", detached(relay, "paused"), count)
    with_cursors = relay.rss()
    reads, records = (relay.metric(f"eventrelay_relay_{what}_total") for what in CATCH_UP)
    back, active = time.monotonic(), 0.0
    beside = scene.feed(4000, fresh, connections=8, rate=200)
    scene.note(f"resumed in {switch(relay, 'on', sick):.1f} s")
    while beside.load.is_alive() or scene.endpoints.taken() < count * each:
        active = max(active, relay.metric("eventrelay_relay_sweeps_active"))
        hold(0.2)
        assert time.monotonic() < back + 400, "not all came within 400 s"
    beside.finish(10)
    scene.note(f"all delivered within {time.monotonic() - back:.1f} s")
    scene.settle(120, pause=2.0)
    # Each partition has one at a time, and begins one per interval at most.
    scene.at_most("catch-up reads at a time", active, 12)
    reads, records = (
        relay.metric(f"eventrelay_relay_{what}_total") - before
        for what, before in zip(CATCH_UP, (reads, records))
    )
    passed = time.monotonic() - back
    scene.at_most(f"catch-up reads in {passed:.0f} s", reads, 12 * (passed / 0.5 + 1))
    scene.note(f"records read by catch-up reads {records:.0f} for {count * each}")
    logs = scene.judge(still=5.0)  # endpoints of the lowest priority read late
    most = max(s.rss for s in logs.samples if s.program == "relay")
    scene.note(
        f"relay {at_first / MIB:.0f} MiB, all detached {with_cursors / MIB:.0f}, "
        f"most {most / MIB:.0f} with a connection to each"
    )
    scene.note(f"parked {len(logs.parked)}, state records {len(logs.state)}")
    without = frozenset(str(n) for n in sick)
    alone, loaded = (
        percentile(ages(logs, f.first, f.first + len(f.bodies), without), 0.99) * 1000
        for f in (base, beside)
    )
    scene.at_most(f"p99 of fresh events (alone {alone:.1f} ms)", loaded, 2 * alone + 5, " ms")


@row("D15", "state topic unwritable, then writable again", "CN", nodes=3, seconds=120, nightly=240)
def state_unwritable(scene: Scene) -> None:
    away = 60.0 if scene.nightly else 10.0
    two_copies(scene, "state", {"cleanup.policy": "compact"})
    scene.config["detach"] = {"after": 20, "sweep_interval": "200ms"}
    scene.subscriber(1, concurrency=4, slow_start=0)
    many(scene, 3)
    scene.ingest()
    relay = scene.relay()
    scene.cluster.wait_full(prefix=scene.stack.prefix)
    scene.pour(400)
    node = scene.cluster.broker.nodes[1]
    node.stop()
    scene.endpoints.set("/s/1", Behaviour(status=503))
    fed = scene.feed(int(200 * away), connections=200, rate=200, again=frozenset({503}))
    hold(away, relay.alive, "the relay lives")
    held = relay.get("/readyz")
    scene.check("write" in held[1], f"readyz {held[0]}, names the write", "yes")
    node.launch()
    scene.cluster.broker.wait_ready()
    scene.cluster.wait_full()
    scene.endpoints.set("/s/1", None)
    fed.finish(60)
    scene.note(f"settled after {scene.settle(90):.1f} s")
    scene.judge(caps={"relay": Caps(rss=150 * MIB)})
