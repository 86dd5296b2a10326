"""Ends of processes under load: orderly ones lose and double nothing, kills stay in their bound."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from support.broker import free_port
from support.load import RESET
from support.stack import Stack, assert_accepted_once, feed, judge
from support.wait import hold, until

# Commits are made at least this often; a kill may repeat what was done since.
COMMIT_SECONDS = 0.25


def test_sigterm_of_relay_under_load_loses_and_doubles_nothing(
    stack: Stack, receiver, report
) -> None:
    stack.add_instance(receiver, concurrency=32)
    ingest, relay = stack.ingest(), stack.relay()
    count = 6000
    bodies, load = feed(ingest.port, count, connections=16, rate=1500)
    ends = []
    for turn in range(1, 4):
        receiver.wait_for(turn * 1200, 60)
        successor = stack.relay(ready=False)
        code, seconds = relay.end()
        ends.append(round(seconds, 2))
        assert code == 0 and seconds <= 10
        relay = successor.wait_ready()
    load.finish(60)
    assert load.statuses() == {202: count}
    receiver.wait_for(count, 60)
    stack.wait_committed()
    hold(0.5)
    verdict = judge(receiver.deliveries(), bodies)
    report(f"3 ends of {ends} s, {verdict}")
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])


def test_sigterm_of_ingest_under_load_resets_no_accepted_request(
    stack: Stack, receiver, report
) -> None:
    stack.add_instance(receiver, concurrency=32)
    stack.config["ingest"]["drain_delay"] = "1s"
    port = free_port()
    stack.config["ingest"]["listen"] = [f"127.0.0.1:{port}"]
    stack.relay()
    count = 6000
    ingest = stack.ingest()
    # Half of the traffic keeps its connections, half opens a new one for every request.
    kept, keeping = feed(port, count, connections=16, rate=600, again=frozenset({503}))
    fresh, opening = feed(
        port, count, first=count, connections=16, rate=600, again=frozenset({503}), reconnect=True
    )
    ends = []
    for turn in range(1, 4):
        until(lambda t=turn: len(keeping.answers) >= t * 1200, 60, "load goes on")
        refused = opening.refused
        code, seconds = ingest.end()
        ends.append((round(seconds, 2), opening.refused - refused))
        assert code == 0 and seconds <= 15
        ingest = stack.ingest()
    for load in (keeping, opening):
        load.finish(90)
    statuses = keeping.statuses() + opening.statuses()
    report(f"3 ends (s, refused meanwhile): {ends}; answers {dict(statuses)}")
    assert statuses[RESET] == 0
    assert statuses[202] == 2 * count
    assert set(statuses) <= {202, 503}
    receiver.wait_for(2 * count, 60)
    stack.wait_committed()
    records = stack.records()
    assert_accepted_once(records, keeping.requests, keeping.answers)
    assert_accepted_once(records, opening.requests, opening.answers)
    verdict = judge(receiver.deliveries(), kept + fresh)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])


@pytest.mark.smoke
def test_sigkill_of_relay_loses_nothing_and_doubles_within_the_bound(
    stack: Stack, receiver, report
) -> None:
    window, rate = 64, 1500
    stack.add_instance(receiver, concurrency=window)
    stack.config["relay"]["inflight_max"] = window
    # A static member: its successor takes the partitions over at once.
    stack.config["kafka"]["group.instance.id"] = "relay-a"
    ingest, relay = stack.ingest(), stack.relay()
    kills, count = 5, 9000
    bodies, load = feed(ingest.port, count, connections=16, rate=rate)
    for turn in range(1, kills + 1):
        receiver.wait_for(turn * 1400, 60)
        relay.kill()
        relay = stack.relay(ready=False)
        relay.wait_ready()
    load.finish(60)
    until(
        lambda: len(judge(receiver.deliveries(), bodies).lost) == 0, 60, "every event", pause=0.5
    )
    stack.wait_committed()
    hold(0.5)
    verdict = judge(receiver.deliveries(), bodies)
    bound = kills * (window + rate * COMMIT_SECONDS)
    report(f"{kills} kills, {verdict}, at most {bound:.0f} doubles allowed")
    assert (verdict.lost, verdict.wrong) == ([], [])
    assert verdict.doubles <= bound


def test_sigkill_of_ingest_keeps_what_it_accepted(stack: Stack, receiver, report) -> None:
    stack.add_instance(receiver)
    port = free_port()
    stack.config["ingest"]["listen"] = [f"127.0.0.1:{port}"]
    ingest = stack.ingest()
    count = 5000
    _, load = feed(port, count, connections=16, rate=1500)
    for turn in range(1, 4):
        until(lambda t=turn: len(load.answers) >= t * 1200, 60, "load goes on")
        ingest.kill()
        ingest = stack.ingest()
    load.finish(60)
    report(f"3 kills, answers {dict(load.statuses())}")
    assert load.statuses()[202] > count / 2
    assert_accepted_once(stack.records(), load.requests, load.answers)


@pytest.mark.parametrize("membership", ["dynamic", "static"])
def test_one_of_two_workers_leaves(stack: Stack, receiver, report, membership: str) -> None:
    stack.add_instance(receiver, concurrency=32)
    # Many instances, so that both workers own keys.
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
    _, load = feed(ingest.port, 3000, connections=4, rate=1000)
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
