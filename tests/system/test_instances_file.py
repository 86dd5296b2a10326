"""100,000 instances in the file: start, memory, a reload, and the cost of an event."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from support.many_instances import EVENTS, FIRST, cost, cpu, instance_lines
from support.programs import Program
from support.stack import Stack, new_stack
from support.wait import until

pytestmark = pytest.mark.long

COUNT = 100_000
MIB = 1 << 20


def peak(program: Program) -> int:
    status = Path(f"/proc/{program.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def forget_peak(program: Program) -> None:
    Path(f"/proc/{program.pid}/clear_refs").write_text("5")


def with_file(stack: Stack, receiver, count: int) -> Path:
    """The stack's configuration as a file of `count` instances, each a block of its own."""
    path = stack.directory / "eventrelay.yaml"
    keys = {key: value for key, value in stack.config.items() if key != "instances"}
    with path.open("w") as out:
        for key, value in keys.items():
            out.write(f"{key}: {json.dumps(value)}\n")
        out.writelines(instance_lines(stack, receiver, count))
    stack.write = lambda: path
    return path


def test_a_hundred_thousand_instances_in_the_file(stack: Stack, receiver, report, tmp_path) -> None:
    # Beside them a stack of its own with one instance: the measure, taken in turn.
    folder = tmp_path / "one"
    folder.mkdir()
    alone = new_stack(stack.broker, folder, "one")
    with_file(alone, receiver, 1)
    one = [alone.ingest(), alone.relay()]
    small = [each.rss() for each in one]

    file = with_file(stack, receiver, COUNT)
    programs, seconds = [], []
    for start in (stack.ingest, stack.relay):
        # The best of three: what others do on this machine is not the program's affair.
        tries, busy = [], []
        for left in (2, 1, 0):
            begin = time.monotonic()
            program = start(ready=False)
            program.wait_ready(120)
            tries.append(time.monotonic() - begin)
            busy.append(cpu(program))
            if left:
                assert program.end()[0] == 0
        programs.append(program)
        seconds.append(min(busy))
        report(f"{program.name}: start to ready {min(tries):.2f} s, {min(busy):.2f} s of CPU")
    each_bytes = [(p.rss() - was) / COUNT for p, was in zip(programs, small)]
    report("RSS for each instance " + ", ".join(f"{b:.0f} B" for b in each_bytes))

    turns: list[list[list[float]]] = [[], []]
    for turn in range(3):
        first = 2 * turn * EVENTS
        turns[0].append(cost(alone, receiver, one, FIRST, first))
        turns[1].append(cost(stack, receiver, programs, FIRST + COUNT // 2, first + EVENTS))
    few, many = ([min(column) for column in zip(*rows)] for rows in turns)
    for name, a, b in zip(("ingest", "relay"), few, many):
        report(f"CPU for each event, {name}: {a:.1f} us with one, {b:.1f} us with all")
    for each in one:
        assert each.end()[0] == 0
    alone.close()

    # One instance changes.
    text = file.read_text()
    file.write_text(text.replace('"name": "instance 77"', '"name": "another"', 1))
    grown = []
    for program in programs:
        was = program.rss()
        forget_peak(program)
        program.reload()
        told = until(lambda p=program: p.said("configuration reloaded"), 60, "the reload")
        assert told[-1]["changed_instances"] == 1
        grown.append((peak(program) - was, program.rss() - was))
        report(f"{program.name}: a reload peaks {grown[-1][0] / MIB:.0f} MiB above, the file has "
               f"{len(text) / MIB:.0f} MiB; {grown[-1][1] / MIB:.0f} MiB stay")

    assert max(seconds) <= 3.0
    assert max(each_bytes) <= 1536
    for a, b in zip(few, many):
        assert b <= a * 1.10, "within 10 % of one instance"
    # Its text, and nothing of the size of a registry.
    for above, stays in grown:
        assert above <= len(text) + 32 * MIB
        assert stays <= 16 * MIB
    for program in programs:
        assert program.end()[0] == 0
