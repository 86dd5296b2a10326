"""The relay's processes as members of its group: one each, however many shards it has."""

from __future__ import annotations

import time
from collections import Counter

from confluent_kafka.admin import AdminClient
from support.programs import Program
from support.stack import Stack, feed, judge
from support.wait import hold, until

PARTITIONS = 12
SHARDS = 4
FEEDS = range(1, 25)


def members(stack: Stack) -> int:
    admin = AdminClient({"bootstrap.servers": stack.broker.bootstrap, "log_level": 0})
    found = admin.list_groups(stack.group, timeout=10)
    return len(found[0].members) if found else 0


def sizes(relay: Program) -> list[int]:
    """Partitions of each shard, by its number."""
    return [line["partitions"] for line in sorted(relay.said("partitions assigned"), key=by_shard)]


def by_shard(line: dict) -> int:
    return line["shard"]


def owned(relay: Program) -> float:
    return relay.metric("eventrelay_relay_assigned_partitions")


def prepare(stack: Stack, receiver) -> None:
    stack.config["topics"]["partitions"] = PARTITIONS
    stack.config["relay"]["shards"] = SHARDS
    stack.config["kafka"]["session.timeout.ms"] = 6000
    for number in FEEDS:
        stack.add_instance(receiver, number, path=f"/cb/{number}", concurrency=8)


def test_a_process_starts_as_one_generation(stack: Stack, receiver, report) -> None:
    prepare(stack, receiver)
    ingest = stack.ingest()
    loads = [
        feed(ingest.port, 40, n, n * 1000, connections=1, again=frozenset({503})) for n in FEEDS
    ]
    for _, load in loads:
        load.finish(60)
    begin = time.monotonic()
    relay = stack.relay()
    bodies = [raw for raws, _ in loads for raw in raws]
    receiver.wait_for(len(bodies), 60)
    first = min(one.at for one in receiver.deliveries()) - begin
    stack.wait_committed(30)
    hold(1.5)  # a second generation would come with a heartbeat
    verdict = judge(receiver.deliveries(), bodies)
    report(f"first delivery {first:.2f} s after the start, {verdict}")
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])
    assert members(stack) == 1
    assert sizes(relay) == [3, 3, 3, 3]
    assert relay.said("partitions revoked") == []
    assert relay.metric("eventrelay_kafka_rebalances_total") == 1


def test_a_process_of_many_shards_joins_and_leaves(stack: Stack, receiver, report) -> None:
    prepare(stack, receiver)
    ingest = stack.ingest()
    first = stack.relay()
    loads = [
        feed(ingest.port, 160, n, n * 1000, connections=1, rate=16, again=frozenset({503}))
        for n in FEEDS
    ]
    receiver.wait_for(400, 30)
    begin = time.monotonic()
    second = stack.relay()
    until(lambda: owned(first) == 6 and owned(second) == 6, 20, "each process has its half")
    assert members(stack) == 2
    assert sizes(second) == [2, 2, 1, 1]
    hold(1.0)
    code, seconds = second.end()
    until(lambda: owned(first) == PARTITIONS, 20, "the one that stays has them all")
    for _, load in loads:
        load.finish(60)
    end = time.monotonic()
    bodies = [raw for raws, _ in loads for raw in raws]
    receiver.wait_for(len(bodies), 60)
    stack.wait_committed(30)
    verdict = judge(receiver.deliveries(), bodies)
    silence = longest_silence(receiver, begin, end)
    report(f"silence {silence:.2f} s, left in {seconds:.2f} s, {verdict}")
    assert code == 0
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])
    assert silence <= 1.5
    # One generation for the join, one for the leave.
    assert Counter(line["shard"] for line in first.said("partitions revoked")) == {
        shard: 2 for shard in range(SHARDS)
    }
    assert Counter(line["shard"] for line in second.said("partitions assigned")) == {
        shard: 1 for shard in range(SHARDS)
    }


def test_a_process_of_many_shards_is_killed(stack: Stack, receiver, report) -> None:
    prepare(stack, receiver)
    ingest = stack.ingest()
    workers = [stack.relay(), stack.relay()]
    until(lambda: all(owned(one) == 6 for one in workers), 20, "each process has its half")
    loads = [
        feed(ingest.port, 160, n, n * 1000, connections=1, rate=40, again=frozenset({503}))
        for n in FEEDS
    ]
    receiver.wait_for(1000, 30)
    workers[0].kill()
    until(lambda: owned(workers[1]) == PARTITIONS, 30, "the one that stays has them all")
    for _, load in loads:
        load.finish(60)
    bodies = [raw for raws, _ in loads for raw in raws]
    receiver.wait_for(len(bodies), 60)
    stack.wait_committed(60)
    verdict = judge(receiver.deliveries(), bodies)
    report(f"{verdict}")
    assert (verdict.lost, verdict.wrong) == ([], [])
    # In flight at the half of it, and what it was sent since its last commit (0.25 s).
    assert verdict.doubles <= 12 * 8 + 24 * 40 * 0.25
    assert workers[1].alive()


def longest_silence(receiver, begin: float, end: float) -> float:
    """Of any subscription, between two of its deliveries."""
    times: dict[str, list[float]] = {}
    for one in receiver.deliveries():
        if begin <= one.at <= end:
            times.setdefault(one.path, []).append(one.at)
    return max(b - a for at in times.values() for a, b in zip(sorted(at), sorted(at)[1:]))
