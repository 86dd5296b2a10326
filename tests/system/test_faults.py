"""Kafka down: a quick 503, nothing accepted is lost, and a quick recovery."""

from __future__ import annotations

import json
import time

from support.load import RESET
from support.stack import ONCE, Stack, assert_accepted_once, feed, judge
from support.wait import hold, until

AWAY = 15.0


def test_broker_stands_still(own_stack: Stack, receiver, report) -> None:
    """The broker stands still with its sockets open; killing it is row K1 of the scoreboard."""
    stack, broker = own_stack, own_stack.broker
    stack.add_instance(receiver, concurrency=32)
    ingest, relay = stack.ingest(), stack.relay()
    rate = 200
    bodies, load = feed(ingest.port, int(rate * 60), connections=1500, rate=rate, again=ONCE)
    until(lambda: load.statuses()[202] > rate, 20, "load runs")
    gone = time.monotonic()
    broker.pause()
    hold(AWAY, lambda: ingest.alive() and relay.alive(), "the programs live")
    down = [a for a in load.answers if a.sent >= gone]
    first = min((a.done for a in down if a.status == 503), default=None)
    assert first is not None, f"no 503 while the broker was down: {load.statuses()}"
    assert ingest.get("/readyz")[0] == 503 and ingest.get("/healthz")[0] == 200
    # Once it is known, the refusal comes at once, before the body is read.
    late = [a.seconds for a in down if a.status == 503 and a.sent > first + 1.0]
    p99 = sorted(late)[int(len(late) * 0.99)]
    assert p99 <= 0.25
    assert ingest.rss() < 200 * 2**20 and relay.rss() < 200 * 2**20
    broker.resume()
    broker.wait_ready()
    ready = time.monotonic()
    back = until(
        lambda: [a for a in load.answers if a.status == 202 and a.sent > ready], 30, "a 202 again"
    )
    recovery = min(a.done for a in back) - ready
    until(lambda: ingest.get("/readyz")[0] == 200, 10, "ingest is ready again")
    hold(1.0)
    load.stop()
    load.finish(30)
    report(
        f"503 after {first - gone:.2f} s, p99 of 503 {p99 * 1000:.1f} ms, "
        f"202 again {recovery:.2f} s after ready; answers {dict(load.statuses())}"
    )
    assert first - gone <= 1.0, "503 within a second"
    assert recovery <= 3.0
    assert load.statuses()[RESET] == 0
    accepted = [bodies[a.index] for a in load.answers if a.status == 202]
    records = stack.records()
    assert_accepted_once(records, load.requests, load.answers)
    until(lambda: not judge(receiver.deliveries(), accepted).lost, 60, "all delivered", pause=0.5)
    stack.wait_committed(60)


def test_503_names_when_to_come_back(own_stack: Stack, receiver) -> None:
    stack = own_stack
    stack.add_instance(receiver)
    ingest = stack.ingest()
    stack.broker.pause()
    _, load = feed(ingest.port, 400, connections=100, rate=100, again=ONCE)
    until(lambda: load.statuses()[503] > 20, 20, "503s")
    load.stop()
    load.finish(20)
    body = json.loads(next(a.body for a in load.answers if a.status == 503))
    assert body["message"] and body["requestId"]
    stack.broker.resume()


def test_start_without_a_broker_waits_and_then_works(own_stack: Stack, receiver) -> None:
    stack = own_stack
    stack.add_instance(receiver)
    stack.broker.stop()
    programs = [stack.start("ingest", ready=False), stack.start("relay", ready=False)]
    hold(1.0, lambda: all(p.alive() for p in programs), "a start without a broker goes on")
    stack.broker.restart()
    for program in programs:
        program.wait_ready(30)
        program.wait_live(30)
    bodies, load = feed(programs[0].port, 50, connections=2)
    load.finish(20)
    assert load.statuses() == {202: 50}
    receiver.wait_for(50, 30)
    assert judge(receiver.deliveries(), bodies).wrong == []


def test_sigterm_with_the_broker_away_ends_in_time(own_stack: Stack, receiver) -> None:
    stack = own_stack
    stack.add_instance(receiver)
    stack.config["relay"]["drain_timeout"] = "3s"
    ingest, relay = stack.ingest(), stack.relay()
    stack.broker.kill()
    assert relay.end(15)[0] in (0, 1)
    assert ingest.end(15)[0] in (0, 1)


def test_clients_of_a_killed_broker_are_answered_in_time_and_what_was_stored_is_folded(
    own_stack: Stack, receiver, report
) -> None:
    """Slack and Graph hang up after 3 s. What a client was told 503 for may be stored after all:
    the provider sends it again, and it is delivered once."""
    stack = own_stack
    stack.add_instance(receiver, concurrency=32)
    ingest, relay = stack.ingest(), stack.relay()
    bodies, load = feed(
        ingest.port, 4000, connections=400, rate=400, again=frozenset({503}), pause=1.0
    )
    until(lambda: load.statuses()[202] > 800, 20, "load runs")
    gone = time.monotonic()
    stack.broker.kill()
    hold(4, lambda: ingest.alive() and relay.alive(), "the programs live")
    stack.broker.restart()
    load.finish(60)
    slow = max(answer.seconds for answer in load.answers)
    waited = [a for a in load.answers if a.status == 503 and a.sent < gone + 0.2]
    report(f"slowest answer {slow:.2f} s; {len(waited)} waited; {dict(load.statuses())}")
    assert slow <= 2.5
    assert {answer.status for answer in load.final().values()} == {202}
    until(lambda: not judge(receiver.deliveries(), bodies).lost, 60, "all delivered", pause=0.5)
    stack.wait_committed(60)
    verdict = judge(receiver.deliveries(), bodies)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])
    assert relay.metric("eventrelay_relay_folded_total") == len(stack.records()) - len(bodies)
