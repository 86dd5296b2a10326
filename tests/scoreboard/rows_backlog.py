"""A great many events for an endpoint that does not answer: rows D16 and D17."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from scoreboard.board import row
from scoreboard.collect import messages
from scoreboard.logs import Caps, Logs
from scoreboard.rows_delivery import MIB, ages
from scoreboard.rows_detach import over_ramp, times_of
from scoreboard.rows_loss import many
from scoreboard.scene import Scene, percentile
from support.endpoints import Behaviour
from support.kafka_log import lag
from support.programs import ROOT
from support.wait import hold, until


class Flood:
    """Copies of the event of an instance that stands in the log, so many a second."""

    def __init__(self, scene: Scene, instance: int, count: int, rate: float):
        key, topic = str(instance), scene.stack.events
        bootstrap = scene.stack.broker.bootstrap
        one = next(m for m in messages(bootstrap, topic) if m.key() == key.encode())
        headers = dict(one.headers())
        order = {
            "bootstrap": bootstrap,
            "topic": topic,
            "partition": one.partition(),
            "key": key,
            "value": one.value().hex(),
            "headers": [(name, raw.hex()) for name, raw in headers.items()],
            "provider_id": headers["er-provider-id"].decode(),
            "count": count,
            "rate": rate,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-B", str(ROOT / "tests/support/flood.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.process.stdin.write(json.dumps(order))
        self.process.stdin.close()
        self.process.stdin = None

    def finish(self, seconds: float) -> str:
        """What it said; every record was acknowledged."""
        try:
            said, trouble = self.process.communicate(timeout=seconds)
        finally:
            self.process.kill()
        assert self.process.returncode == 0, trouble
        return said.strip()


def records_for(logs: Logs, sub: str) -> dict[str, int]:
    """What was written because this subscription had a backlog."""
    parked = sum(r.headers.get("er-sub") == sub for r in logs.parked)
    dead = sum(r.headers.get("er-sub") == sub for r in logs.dead)
    state = sum(r.key.startswith((sub + "@", sub + "|")) for r in logs.state)
    return {"parked": parked, "dead": dead, "state": state}


def most_rss(scene: Scene, since: float) -> float:
    return max(s.rss for s in scene.sampler.samples if s.program == "relay" and s.at >= since) / MIB


@row("D16", "1,000,000 events for an endpoint that is down", "N", 1, 0, 700)
def a_million(scene: Scene) -> None:
    """Named alone: a tenth of it. The same fresh events without and with it, a relay each."""
    count, seconds = (1_000_000, 160) if scene.nightly else (100_000, 20)
    fresh_rate = 200
    scene.subscriber(1, port=scene.endpoints.full, timeout="2s")
    many(scene, 10)
    fresh = list(range(1001, 1011))
    scene.ingest()
    spans: dict[str, tuple[int, int]] = {}
    peaks: dict[str, float] = {}

    poured = 0  # of the one that is detached

    def feed_fresh(name: str, length: float) -> None:
        since = time.time()
        fed = scene.feed(
            int(fresh_rate * length), fresh, late=True, connections=16, rate=fresh_rate
        ).finish(length + 60)
        scene.endpoints.wait_taken(scene.count() - poured, 30)
        spans[name] = (fed.first, fed.first + len(fed.bodies))
        peaks[name] = most_rss(scene, since)

    alone = scene.relay()
    scene.pour(4000, fresh)  # a broker that has just started is slow
    feed_fresh("none", seconds)
    scene.end(alone)
    relay = scene.relay()
    scene.pour(400, fresh)
    poured = len(scene.pour(1, [1]).bodies)
    flood = Flood(scene, 1, count - 1, count / seconds)
    feed_fresh("beside", seconds)
    scene.note(f"straight into Kafka {flood.finish(60)}")
    until(lambda: _read_to_the_end(scene), 60, "the relay has read them", pause=1.0)
    feed_fresh("behind", seconds / 4)
    hold(1.0, relay.alive, "the relay lives")
    # Its parked events move from topic to topic; they stand still while the logs are read.
    code, _ = scene.end(relay)
    scene.check(code == 0, f"exit {code}", "0")

    logs = scene.judge(all_done=False, caps={"relay": Caps(rss=150 * MIB)})
    stored = {r.id for r in logs.events if r.headers.get("er-instance") == "1"}
    scene.exactly("events of it in the log", len(stored), count)
    scene.exactly("of the others not delivered", scene.count() - 1 - scene.endpoints.taken(), 0)
    for name in ("beside", "behind"):
        scene.at_most(
            f"resident {name} it (without {peaks['none']:.1f})", peaks[name], peaks["none"] + 20,
            " MiB",
        )
    p99 = {
        name: percentile(ages(logs, *span, frozenset({"1"})), 0.99) * 1000
        for name, span in spans.items()
    }
    for name in ("beside", "behind"):
        scene.at_most(
            f"p99 of fresh events {name} it (without {p99['none']:.1f} ms)", p99[name],
            1.25 * p99["none"] + 5, " ms",
        )
    written = records_for(logs, "1")
    scene.at_most(f"records written for it {written}", sum(written.values()), 3000)


def _read_to_the_end(scene: Scene) -> bool:
    """The group stands at the end of `events`: what waits is behind a cursor."""
    return lag(scene.stack.broker.bootstrap, scene.stack.events, scene.stack.group) == 0


@row("D17", "endpoint down for 10 minutes at 1,000 events/s, in order, then up", "N", 1, 0, 1200)
def down_then_up(scene: Scene) -> None:
    """Named alone: down for one minute."""
    down, rate, slow_start = (600 if scene.nightly else 60), 1000, 100
    # Longer in all than it is down: what is probed meanwhile must not be given up as a dead letter.
    delays = ["1s", "5s", "30s", "60s", "90s", "120s", "150s", "180s"]
    scene.config["retry"] = {"delays": delays}
    scene.subscriber(1, ordering="object", concurrency=32, slow_start=slow_start)
    many(scene, 4)
    healthy = list(range(1001, 1005))
    scene.ingest()
    relay = scene.relay()
    scene.pour(500)
    scene.endpoints.wait_taken(500, 30)
    scene.endpoints.set("/s/1", Behaviour(reset=True))
    # Of 25 events 24 are for it, so 1,000/s are; its objects come in turn.
    where = [1] * 24 + healthy[:1]
    fed = scene.feed(
        int(down * rate * 25 / 24), where, late=True, connections=64, rate=rate * 25 / 24,
        again=frozenset({503}), object_of=lambda n: f"object-{n % 499}",
    )
    fed.finish(down + 60)
    asked_while_down = scene.endpoints.requests("/s/1")
    waiting = sum(1 for n in range(fed.first, fed.first + len(fed.bodies)) if n % 25 < 24)
    up = time.time()
    before = scene.endpoints.taken("/s/1")
    scene.endpoints.set("/s/1", None)
    deadline = up + down * 0.7 + 120
    while (taken := scene.endpoints.taken("/s/1") - before) < waiting and time.time() < deadline:
        hold(0.5)
    took = time.time() - up
    scene.exactly("of it not delivered", waiting - taken, 0)
    scene.settle(60, pause=1.0)
    scene.check(relay.alive(), "the relay lives")
    logs = scene.judge(caps={"relay": Caps(rss=150 * MIB)})
    scene.note(f"{waiting} events waited, caught up in {took:.1f} s ({waiting / took:.0f}/s)")
    scene.note(f"asked while down {asked_while_down - 100}")
    most, over = over_ramp(times_of(scene, "/s/1", up), slow_start)
    scene.note(f"peak after recovery {most}/s")
    scene.at_most("of what the slow start allows", over, 1.02)
    scene.note(f"relay {max(s.rss for s in logs.samples if s.program == 'relay') / MIB:.0f} MiB")
    scene.note(f"records written for it {records_for(logs, '1')}")
