"""One of 10,000 instances changes under load: it is in force at once, and nobody else notices."""

from __future__ import annotations

import json
import os
import time
from bisect import bisect_left

import pytest

from support import box
from support.load import Load
from support.receiver import Receiver, Rule
from support.stack import INSTANCE, Stack, judge
from support.wait import until

COUNT = 10_000
FIRST = 1_000_000
HANGS, PACED = 5, 6  # an attempt of one is under way, the other has a queue and a rate
RATE = 20
TURNS = 12


def cpu_seconds(pid: int) -> float:
    """What the process has used of the cores, which a busy machine does not make longer."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.alone
def test_change_of_one_touches_nobody_else(stack: Stack, receiver, report) -> None:
    others = Receiver()
    try:
        for number in range(FIRST, FIRST + COUNT):
            stack.add_instance(others, number, f"/others/{number}")
        one = stack.add_instance(receiver, INSTANCE, "/cb/0")
        stack.add_instance(receiver, HANGS, "/hangs", timeout="60s")
        stack.add_instance(receiver, PACED, "/paced", rate=RATE)
        change_one(stack, one, receiver, others, report)
    finally:
        others.close()


def change_one(stack: Stack, one: dict, receiver: Receiver, others: Receiver, report) -> None:
    ingest, relay = stack.ingest(), stack.relay()
    receiver.answer("/hangs", Rule(delay=30.0))
    bodies = {HANGS: [box.body(1)], PACED: [box.body(n) for n in range(100, 1100)]}
    for instance, raws in bodies.items():
        load = Load(ingest.port, [box.v2_request(instance, raw) for raw in raws], 8)
        load.start()
        assert load.finish(60).statuses() == {202: len(raws)}
    until(lambda: receiver.count("/hangs") == 1, 20, "the attempt that hangs")

    # Half of the load is for the one that changes, half for the others, in turn.
    raws = [box.body(10_000 + n) for n in range(16_000)]
    wanted = [INSTANCE if n % 2 == 0 else FIRST + n * 7 % COUNT for n in range(len(raws))]
    requests = [box.v2_request(instance, raw) for instance, raw in zip(wanted, raws)]
    load = Load(ingest.port, requests, connections=16, rate=250)
    load.start()
    until(lambda: len(load.answers) > 250, 30, "the load is under way")
    began, answered = [], []
    used = cpu_seconds(relay.pid)
    for turn in range(1, TURNS + 1):
        one["configuration"]["event.notification.callback.url"] = receiver.url(f"/cb/{turn}")
        stack.write()
        began.append(time.monotonic())
        code, body = relay.get("/-/reload", "POST")
        answered.append(time.monotonic() - began[-1])
        assert code == 200, body
        until(lambda t=turn: receiver.count(f"/cb/{t}") > 0, 20, f"change {turn} is in force")
    over = time.monotonic()
    used = (cpu_seconds(relay.pid) - used) / TURNS
    load.stop()
    load.finish(30)
    sent = len(load.answers)
    assert load.statuses() == {202: sent}

    mine, theirs = sorted(receiver.deliveries(), key=lambda d: d.at), others.deliveries()
    until(lambda: receiver.count("/cb") + others.count("/others") >= sent, 30, "all came")
    mine, theirs = sorted(receiver.deliveries(), key=lambda d: d.at), others.deliveries()
    # In force: from the call that changes it to the first event at the new address.
    first = [min(d.at for d in mine if d.path == f"/cb/{t}") for t in range(1, TURNS + 1)]
    force = sorted(at - begin for at, begin in zip(first, began))
    report(
        f"in force after {1e3 * force[TURNS // 2]:.0f} ms, at most {1e3 * force[-1]:.0f} ms "
        f"({1e3 * sorted(answered)[TURNS // 2]:.0f} ms of it until the reload is answered: reading "
        f"a file of {COUNT} instances, {1e3 * used:.0f} ms of CPU each with the events meanwhile), "
        f"{sent} events beside {TURNS} changes"
    )
    assert force[-1] < 15.0
    assert used < 1.0  # on cores of its own a change is in force within a second

    # It is in force when the reload is answered: no event sent later goes to a former address.
    number = {box.provider_id(raw): n for n, raw in enumerate(raws)}
    changed = [begin + took for begin, took in zip(began, answered)]
    sent_at = {index: answer.sent for index, answer in load.final().items()}
    late_ones = 0
    for delivery in mine:
        if not delivery.path.startswith("/cb/"):
            continue
        n = number[json.loads(delivery.body)["message"]["raw"]["id"]]
        turn = bisect_left(changed, sent_at[n])  # so many changes were answered before
        late_ones += turn > 0
        assert int(delivery.path[4:]) >= turn, f"event {n} went to {delivery.path}, not /cb/{turn}"
    assert late_ones > TURNS

    # The others: everything once, at the first attempt; the open request was not sent again.
    verdict = judge([d for d in mine if d.path.startswith("/cb/")] + theirs, raws[:sent])
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])
    assert receiver.count("/hangs") == 1
    assert not [d for d in theirs + mine if "eventrelay-attempt" in d.headers]
    # Its queue went on at its rate: neither lost nor begun anew, which would let go a burst.
    paced = [d for d in mine if d.path == "/paced" and began[0] <= d.at <= over]
    late = [at for at in (d.at for d in paced)]
    seconds = over - began[0]
    assert len(late) >= RATE * seconds * 0.8 - 2
    for begin in late:
        within = sum(1 for at in late if begin <= at < begin + 1.0)
        assert within <= RATE + RATE // 10 + 2, f"{within} within a second"
    # Once the new address is in force, only what was under way still goes to the former one.
    for turn, at in enumerate(first, 1):
        behind = [d for d in mine if d.path == f"/cb/{turn - 1}" and d.at > at + 1.0]
        assert not behind, f"{len(behind)} went to the former address"
