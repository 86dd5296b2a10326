"""Ends of processes: workers that leave, second signals, answers while draining.

Kills and ends under load are rows of the scoreboard (R2, R3, R5, R6).
"""

from __future__ import annotations

import time
from collections import Counter

import pytest
from support.stack import ONCE, Stack, feed, judge
from support.wait import hold, until


@pytest.mark.parametrize("membership", ["dynamic", "static"])
def test_one_of_two_workers_leaves(stack: Stack, receiver, report, membership: str) -> None:
    stack.add_instance(receiver, concurrency=32)
    # Many instances, so that each worker owns some.
    for number in range(1, 24):
        stack.add_instance(receiver, number, concurrency=8)
    stack.config["kafka"]["session.timeout.ms"] = 6000
    names = {"dynamic": [None, None], "static": ["relay-a", "relay-b"]}[membership]
    workers = []
    for name in names:
        extra = ["--set", f"kafka.group.instance.id={name}"] if name else []
        workers.append(stack.relay(*extra))
    until(
        lambda: all(w.metric("eventrelay_relay_assigned_partitions") == 3 for w in workers),
        30,
        "each of two workers owns half of the partitions",
    )
    ingest = stack.ingest()
    loads = [feed(ingest.port, 200, n, n * 1000, connections=1) for n in range(1, 24)]
    receiver.wait_for(1500, 60)
    begin = time.monotonic()
    code, seconds = workers[0].end()
    assert code == 0 and seconds <= 10
    for _, load in loads:
        load.finish(60)
    total = 23 * 200
    receiver.wait_for(total, 60)
    took = time.monotonic() - begin
    stack.wait_committed(60)
    hold(0.3)
    verdict = judge(receiver.deliveries(), [raw for bodies, _ in loads for raw in bodies])
    report(f"left in {seconds:.2f} s, all delivered {took:.1f} s after that began, {verdict}")
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])
    assert workers[1].metric("eventrelay_relay_assigned_partitions") == 6


def test_second_sigterm_and_sigint_end_too(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    stack.config["ingest"]["drain_delay"] = "30s"
    ingest = stack.ingest()
    ingest.process.terminate()
    hold(0.3, ingest.alive, "a drain delay keeps the process")
    ingest.process.terminate()
    assert ingest.process.wait(10) in (0, 1)
    relay = stack.relay()
    relay.process.send_signal(2)
    assert relay.process.wait(10) == 0


def test_answers_after_the_drain_began_are_503_or_202(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    stack.config["ingest"]["drain_delay"] = "2s"
    ingest = stack.ingest()
    _, load = feed(ingest.port, 3000, connections=4, rate=1000, again=ONCE)
    until(lambda: len(load.answers) > 500, 20, "load runs")
    ingest.process.terminate()
    until(lambda: ingest.get("/readyz")[0] == 503, 1.0, "not ready while draining")
    assert "drain" in ingest.get("/readyz")[1]
    assert ingest.process.wait(15) == 0
    load.stop()
    load.finish(10)
    assert set(load.statuses()) <= {202, 503}
    # 2000 are sent meanwhile; a busy machine answers fewer.
    assert Counter(load.statuses())[202] >= 1000, "still accepting during the drain delay"


def test_what_the_client_library_says_last_is_no_crash(stack: Stack, receiver) -> None:
    """Its threads write lines while the process ends, behind main()."""
    stack.add_instance(receiver)
    settings = ["relay.shards=2", "kafka.debug=cgrp,broker", "log.level=debug"]
    options = [word for setting in settings for word in ("--set", setting)]
    for _ in range(5):
        assert stack.relay(*options).end()[0] == 0
