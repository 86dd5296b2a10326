"""A relay whose wall clock is wrong parks events, and another one takes over: each waits as long as
its delay topic says by the brokers' clock, and nobody waits for somebody else's mistake."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.receiver import Rule
from support.shim import Shim
from support.stack import INSTANCE, Stack, feed, judge
from support.wait import until

OTHER = INSTANCE + 1
WAIT = 3.0


def first(receiver, path: str, status: int) -> float:
    return min(d.at for d in receiver.deliveries(path) if d.status == status)


@pytest.mark.parametrize("lead", [3600.0, -3600.0])
def test_a_relay_takes_over_from_one_with_another_clock(
    stack: Stack, receiver, tmp_path: Path, lead: float, report
) -> None:
    stack.config["retry"] = {"delays": [f"{WAIT:g}s"], "jitter": 0}
    stack.config["topics"]["partitions"] = 1
    stack.add_instance(receiver, path="/parked")
    stack.add_instance(receiver, OTHER, "/other")
    shim = Shim(tmp_path)
    shim.move(lead)
    ingest = stack.ingest()
    wrong = stack.relay(env=shim.environment)
    receiver.answer("/parked", Rule(status=500, times=8))
    bodies, load = feed(ingest.port, 8)
    load.finish(20)
    until(lambda: receiver.count("/parked") >= 8, 20, "eight failures")
    stack.wait_committed()
    failed = time.monotonic()
    assert wrong.end()[0] == 0
    right = stack.relay()
    receiver.answer("/other", Rule(status=500, times=1))
    others, load = feed(ingest.port, 1, OTHER, first=100)
    load.finish(20)
    until(lambda: len(receiver.deliveries("/other")) == 2, 30, "the other's second attempt")
    until(lambda: not judge(receiver.deliveries("/parked"), bodies).lost, 30, "all that was parked")
    again = [d.at for d in receiver.deliveries("/parked") if d.status == 200]
    one, two = (d.at for d in receiver.deliveries("/other"))
    report(
        f"parked ones {min(again) - failed:.1f}..{max(again) - failed:.1f} s after the last "
        f"failure, the other after {two - one:.1f} s"
    )
    # None at once, none late; a take-over and a look at the wall clock cost some.
    assert min(again) - first(receiver, "/parked", 500) >= WAIT - 0.2
    assert max(again) - failed <= WAIT + 12
    assert max(again) - min(again) <= WAIT + 4
    assert WAIT - 0.2 <= two - one <= WAIT + 4
    assert judge(receiver.deliveries("/other"), others).doubles == 0
    assert right.get("/readyz")[0] == 200
