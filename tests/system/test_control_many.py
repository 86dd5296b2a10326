"""100,000 instances in the topic: start, memory, a change in force, and the cost of an event."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.box_provider import api_of
from support.broker import free_port
from support.many_instances import EVENTS, FIRST, cost, cpu, instance_lines
from support.programs import Program, run
from support.stack import KEY, Stack, new_stack
from support.wait import until

pytestmark = pytest.mark.long

COUNT = 100_000


def write_instances(tour: Stack, receiver, count: int) -> None:
    """Through `registry import`, so that they are documents as the programs write them."""
    file = tour.directory / "instances.yaml"
    with file.open("w") as out:
        out.writelines(instance_lines(tour, receiver, count))
    done = run("eventrelay", "registry", "import", "-c", str(tour.write()), str(file), seconds=300)
    assert done.returncode == 0, done.stderr
    added, changed, unchanged = (int(part.split()[0]) for part in done.stdout.decode().split(","))
    assert (added + unchanged, changed) == (count, 0), done.stdout


def ready_in(program: Program, begin: float) -> float:
    program.wait_ready(120)
    return time.monotonic() - begin


def test_a_hundred_thousand_instances(tour: Stack, provider, receiver, report, tmp_path) -> None:
    # Beside them a stack of its own with one instance: the measure, taken in turn.
    folder = tmp_path / "one"
    folder.mkdir()
    alone = new_stack(tour.broker, folder, "one")
    alone.config |= {key: tour.config[key] for key in ("registry", "seal", "control")}
    alone.config |= {"control": {**tour.config["control"], "enabled": False}}
    alone.config.pop("instances")
    write_instances(alone, receiver, 1)
    tour.config["ingest"]["listen"] = ["127.0.0.1:0"]
    one = [alone.ingest(), alone.relay()]
    small = [each.rss() for each in one]

    begin = time.monotonic()
    write_instances(tour, receiver, COUNT)
    report(f"import of {COUNT} instances took {time.monotonic() - begin:.1f} s")
    quiet = ("--set", "control.enabled=false")
    programs, seconds = [], []
    for start in (tour.ingest, tour.relay):
        # The best of three: what others do on this machine is not the program's affair.
        tries, busy = [], []
        for left in (2, 1, 0):
            begin = time.monotonic()
            program = start(*(quiet if start == tour.ingest else ()), ready=False)
            tries.append(ready_in(program, begin))
            busy.append(cpu(program))
            if left:
                assert program.end()[0] == 0
        programs.append(program)
        seconds.append(min(tries))
        report(f"{program.name}: start to ready {min(tries):.2f} s, {min(busy):.2f} s of CPU")
    each_bytes = [(p.rss() - was) / COUNT for p, was in zip(programs, small)]
    report("RSS for each instance " + ", ".join(f"{b:.0f} B" for b in each_bytes))
    for program in programs:
        assert program.metric("eventrelay_registry_instances") == COUNT
    turns: list[list[list[float]]] = [[], []]
    for turn in range(3):
        first = 2 * turn * EVENTS
        turns[0].append(cost(alone, receiver, one, FIRST, first))
        turns[1].append(cost(tour, receiver, programs, FIRST + COUNT // 2, first + EVENTS))
    few, many = ([min(column) for column in zip(*rows)] for rows in turns)
    for name, a, b in zip(("ingest", "relay"), few, many):
        report(f"CPU for each event, {name}: {a:.1f} us with one, {b:.1f} us with all")
    for each in one:
        assert each.end()[0] == 0
    alone.close()

    # A second replica of each tier, and the control process beside them.
    programs += [tour.ingest(*quiet), tour.relay()]
    tour.config["ingest"]["listen"] = [f"127.0.0.1:{free_port()}"]
    tries, busy = [], []
    for left in (2, 1, 0):
        begin = time.monotonic()
        control = tour.ingest(ready=False)
        tries.append(ready_in(control, begin))
        busy.append(cpu(control))
        each_bytes.append((control.rss() - small[0]) / COUNT)
        if left:
            assert control.end()[0] == 0
    seconds.append(min(tries))
    report(
        f"control process: start to ready {min(tries):.2f} s, {min(busy):.2f} s of CPU, "
        f"RSS {control.rss() >> 20} MiB, {max(each_bytes):.0f} B for each instance"
    )
    api = api_of(control)
    in_force = []
    for number in range(10):
        begin = time.monotonic()
        made = api.create(provider, receiver.url("/cb"), KEY)
        answered = time.monotonic()
        assert made.status == 200, made
        count = COUNT + number + 1
        for program in programs:
            until(
                lambda p=program: p.metric("eventrelay_registry_instances") == count,
                5,
                "the change is in force",
                pause=0.01,
            )
        in_force.append(time.monotonic() - answered)
        assert answered - begin < 2
    report(f"in force on two replicas of both tiers {1000 * max(in_force):.0f} ms after its 200")

    assert max(in_force) < 1.0
    assert max(seconds) <= 5.0
    assert max(each_bytes) <= 2048
    for a, b in zip(few, many):
        assert b <= a * 1.10, "within 10 % of one instance"
    for program in [*programs, control]:
        assert program.end()[0] == 0
