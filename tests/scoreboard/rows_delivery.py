"""Delivery and isolation: rows D1 to D15."""

from __future__ import annotations

import time

from scoreboard.board import not_built, row
from scoreboard.logs import Caps
from scoreboard.rows_loss import many
from scoreboard.scene import Scene, percentile
from support.endpoints import Behaviour
from support.wait import hold, until

MIB = 1 << 20


def ages(scene: Scene, first: int, past: int, without: frozenset[str]) -> list[float]:
    """From received to delivered, of the requests in [first, past), for all other subscriptions."""
    logs = scene.logs()
    wanted = {i for a in logs.answers if first <= a.request < past for i in a.ids}
    received = {r.id: int(r.headers["er-received"]) / 1000 for r in logs.events if r.id in wanted}
    seen: dict[tuple[str, str], float] = {}
    for got in logs.got:
        if got.event in received and 200 <= got.status < 300 and got.sub not in without:
            seen.setdefault((got.event, got.sub), got.done - received[got.event])
    return list(seen.values())


@row("D1", "1 dead endpoint of 100", "C", seconds=120)
def one_dead(scene: Scene) -> None:
    rate, seconds = 1200, 4
    many(scene, 99, timeout="2s")
    scene.subscriber(1, port=scene.endpoints.full, timeout="2s")
    healthy = [n for n in range(1001, 1100)]
    scene.ingest()
    scene.relay()
    scene.pour(990, healthy)  # connections open, caches warm
    scene.endpoints.wait_taken(990, 30)
    spans: dict[bool, list[tuple[int, int]]] = {False: [], True: []}
    rates: dict[bool, list[float]] = {False: [], True: []}
    for sick in (False, True, False, True):
        count = rate * seconds
        where = healthy + [1] if sick else healthy
        before, begin = scene.endpoints.taken(), time.monotonic()
        fed = scene.feed(count, where, connections=32, rate=rate).finish(60)
        wanted = sum(1 for n in range(fed.first, fed.first + count) if where[n % len(where)] != 1)
        until(lambda b=before, w=wanted: scene.endpoints.taken() >= b + w, 60, "the others", 0.01)
        rates[sick].append(wanted / (time.monotonic() - begin))
        spans[sick].append((fed.first, fed.first + count))
    base, with_dead = (
        [age for span in spans[sick] for age in ages(scene, *span, frozenset({"1"}))]
        for sick in (False, True)
    )
    share = 100 * sum(rates[True]) / sum(rates[False]) * 100 / 99
    scene.at_least("throughput of the others", share, 95, " %")
    p99, bound = (percentile(found, 0.99) * 1000 for found in (with_dead, base))
    scene.at_most(f"p99 (alone {bound:.1f} ms)", p99, 1.25 * bound + 5, " ms")


not_built("D2", "50 of 100 endpoints hang, at different phases", "N")
not_built("D3", "endpoint flaps, 10 s up and 10 s down", "C")


@row("D4", "answers without end: 1 byte a second, 10 GB of body, endless headers", "C", seconds=90)
def endless(scene: Scene) -> None:
    for number, behaviour in enumerate(
        (
            Behaviour(drip=1.0),
            Behaviour(endless="body"),
            Behaviour(endless="headers"),
            Behaviour(hang="head"),
            Behaviour(hang="body"),
        ),
        1,
    ):
        scene.subscriber(number, timeout="2s", concurrency=4)
        scene.endpoints.set(f"/s/{number}", behaviour)
    many(scene, 4)
    scene.ingest()
    relay = scene.relay()
    scene.pour(400, range(1001, 1005))
    scene.endpoints.wait_taken(400, 30)
    flat = relay.rss()
    scene.pour(50, range(1, 6), connections=4)
    healthy = scene.pour(2000, range(1001, 1005), connections=8, rate=400)
    scene.endpoints.wait_taken(2400, 30)
    scene.note(f"healthy beside {len(healthy.bodies)}")
    hold(4.0)
    longest = [scene.endpoints.longest(f"/s/{number}") for number in range(1, 6)]
    scene.check(min(longest) > 0, f"{sum(t > 0 for t in longest)} of 5 cut", "5")
    scene.at_most("longest", max(longest), 2.0 + 1.5, " s")
    scene.at_most("memory grew", (relay.rss() - flat) / MIB, 16, " MiB")
    for number in range(1, 6):
        scene.endpoints.set(f"/s/{number}", None)
    scene.settle(60)
    # A receiver that never ended its answer may have taken the event all the same.
    scene.judge(doubles=None, caps={"relay": Caps(rss=150 * MIB)})


not_built("D5", "every status, reset, timeout and TLS fault against the retry rules", "C")
not_built("D6", "schedule exhausted, dead letter, replay", "C")
not_built("D7", "redirects are not followed", "C")
not_built("D8", "8 faults of the network, both directions", "N")
not_built("D9", "clock steps by an hour while retries wait", "C")
not_built("D10", "peer closes an idle connection while it is used, 10,000 times", "N")
not_built("D11", "keys rotate under load", "C")
not_built("D12", "a subscriber of 20 takes 50/s of 500/s, then recovers", "C")
not_built("D13", "kill, stop and rebalance at each step of detach, sweep and attach", "C")
not_built("D14", "10,000 detached subscriptions come back at once", "N")
not_built("D15", "state topic unwritable for 60 s; cursor near the log start", "C")
