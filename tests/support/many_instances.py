"""A great many instances: as lines of a file, and what an event costs beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterator

from support.programs import Program
from support.stack import KEY, Stack, feed, judge

EVENTS = 20_000
FIRST = 10_000_000


def cpu(program: Program) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{program.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def instance_lines(stack: Stack, receiver, count: int) -> Iterator[str]:
    """`instances:` of a configuration, each a block of its own."""
    yield "instances:\n"
    for number in range(count):
        entry = {
            "id": FIRST + number,
            "name": f"instance {number}",
            "element": "box",
            "tags": ["Docs"],
            "configuration": {
                "oauth.user.id": str(number),
                "oauth.callback.url": "https://mycoolapp.com/auth",
                "oauth.api.key": f"client-{number}",
                "oauth.api.secret": f"secret-{number}",
                "event.notification.enabled": True,
                "event.notification.callback.url": receiver.url("/cb"),
                "event.notification.signature.key": KEY,
            },
            "delivery": stack.local(receiver),
        }
        yield "- " + json.dumps(entry) + "\n"


def cost(stack: Stack, receiver, programs: list[Program], instance: int, first: int) -> list[float]:
    """CPU microseconds for each event, of ingest and of the relay."""
    before = [cpu(each) for each in programs]
    receiver.clear()
    bodies, load = feed(programs[0].port, EVENTS, instance, first, connections=16, rate=4000)
    assert load.finish(180).statuses() == {202: EVENTS}
    receiver.wait_for(EVENTS, 120)
    stack.wait_committed()
    verdict = judge(receiver.deliveries("/cb"), bodies)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])
    return [1e6 * (cpu(each) - was) / EVENTS for each, was in zip(programs, before)]
