"""100,000 instances in the topic: start, memory, a change in force, and the cost of an event."""

from __future__ import annotations

import json
import time
from pathlib import Path

from support.box_provider import api_of
from support.broker import free_port
from support.programs import Program, run
from support.stack import KEY, Stack, feed, judge
from support.wait import until

COUNT = 100_000
EVENTS = 20_000
FIRST = 10_000_000


def cpu(program: Program) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{program.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def write_instances(tour: Stack, receiver, count: int) -> None:
    """Through `registry import`, so that they are documents as the programs write them."""
    file = tour.directory / "instances.yaml"
    with file.open("w") as out:
        out.write("instances:\n")
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
                "delivery": tour.local(receiver),
            }
            out.write("- " + json.dumps(entry) + "\n")
    done = run("eventrelay", "registry", "import", "-c", str(tour.write()), str(file), seconds=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().startswith(f"{count} added"), done.stdout


def ready_in(program: Program, begin: float) -> float:
    program.wait_ready(120)
    return time.monotonic() - begin


def cost(tour: Stack, receiver, programs: list[Program], instance: int, first: int) -> list[float]:
    """CPU microseconds for each event, of ingest and of the relay."""
    before = [cpu(each) for each in programs]
    receiver.clear()
    bodies, load = feed(programs[0].port, EVENTS, instance, first, connections=16, rate=4000)
    assert load.finish(180).statuses() == {202: EVENTS}
    receiver.wait_for(EVENTS, 120)
    tour.wait_committed()
    verdict = judge(receiver.deliveries("/cb"), bodies)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])
    return [1e6 * (cpu(each) - was) / EVENTS for each, was in zip(programs, before)]


def test_a_hundred_thousand_instances(tour: Stack, provider, receiver, report) -> None:
    # One instance first: the measure for what follows.
    write_instances(tour, receiver, 1)
    tour.config["ingest"]["listen"] = ["127.0.0.1:0"]
    quiet = ("--set", "control.enabled=false")
    programs = [tour.ingest(*quiet), tour.relay()]
    small = [each.rss() for each in programs]
    one = cost(tour, receiver, programs, FIRST, 0)
    for each in programs:
        assert each.end()[0] == 0

    begin = time.monotonic()
    write_instances(tour, receiver, COUNT)
    report(f"import of {COUNT} instances took {time.monotonic() - begin:.1f} s")
    seconds = []
    programs = []
    for start in (tour.ingest, tour.relay):
        begin = time.monotonic()
        programs.append(start(*(quiet if start == tour.ingest else ()), ready=False))
        seconds.append(ready_in(programs[-1], begin))
    each_bytes = [(p.rss() - was) / COUNT for p, was in zip(programs, small)]
    report("start to ready " + ", ".join(f"{s:.2f} s" for s in seconds) + " (ingest, relay)")
    report("RSS for each instance " + ", ".join(f"{b:.0f} B" for b in each_bytes))
    for program in programs:
        assert program.metric("eventrelay_registry_instances") == COUNT
    many = cost(tour, receiver, programs, FIRST + COUNT // 2, EVENTS)
    report(
        "CPU for each event: "
        + ", ".join(f"{a:.1f} us with one, {b:.1f} us with all" for a, b in zip(one, many))
    )

    # A second replica of each tier, and the control process beside them.
    programs += [tour.ingest(*quiet), tour.relay()]
    tour.config["ingest"]["listen"] = [f"127.0.0.1:{free_port()}"]
    begin = time.monotonic()
    control = tour.ingest(ready=False)
    passed = ready_in(control, begin)
    report(f"control process: start to ready {passed:.2f} s, RSS {control.rss() >> 20} MiB")
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
    for a, b in zip(one, many):
        assert b <= a * 1.10, "within 10 % of one instance"
    for program in [*programs, control]:
        assert program.end()[0] == 0
