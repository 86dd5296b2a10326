"""Topics that are grown, deleted or made again while everything runs, and brokers that hang:
what is accepted is delivered, and what can not go on says why."""

from __future__ import annotations

import json
import time

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from support import box
from support.box_provider import api_of
from support.receiver import Rule
from support.stack import INSTANCE, KEY, ONCE, Stack, feed, judge
from support.wait import hold, until

PARTITIONS = 6


def admin(stack: Stack) -> AdminClient:
    return AdminClient({"bootstrap.servers": stack.broker.bootstrap, "log_level": 0})


def settle(futures: dict) -> None:
    """The client of these must be held meanwhile: they end with it."""
    for done in futures.values():
        done.result(20)


def grow(stack: Stack, topic: str, partitions: int) -> None:
    client = admin(stack)
    settle(client.create_partitions([NewPartitions(topic, partitions)]))


def create(stack: Stack, topic: str, partitions: int) -> None:
    client = admin(stack)
    settle(client.create_topics([NewTopic(topic, partitions, 1)]))


def delete(stack: Stack, topic: str) -> None:
    client = admin(stack)
    settle(client.delete_topics([topic], operation_timeout=10))


def make_again(stack: Stack, topic: str, partitions: int = PARTITIONS) -> None:
    name = stack.prefix + topic
    client = admin(stack)
    settle(client.delete_topics([name], operation_timeout=10))
    until(lambda: name not in client.list_topics(timeout=10).topics, 20, "the topic to be gone")

    # A name that has just been freed may be refused for a moment.
    def made() -> bool:
        try:
            settle(client.create_topics([NewTopic(name, partitions, 1)]))
        except Exception:  # noqa: BLE001
            return False
        return True

    until(made, 20, "the topic to be made again", pause=0.2)


def send(stack: Stack, count: int, first: int = 0) -> list[bytes]:
    ingest = next(p for p in stack.programs if p.name == "eventrelay-ingest")
    bodies, load = feed(ingest.port, count, first=first, connections=1)
    load.finish(30)
    assert all(answer.status == 202 for answer in load.answers), load.answers
    return bodies


def switch(relay, word: str) -> None:
    """Pauses the subscription or resumes it, once its partition has been taken over."""
    path = f"/api/v1/subscriptions/{word}?id={INSTANCE}"
    until(lambda: relay.get(path, "POST")[0] == 200, 20, f"the subscription to be {word}")


def reasons(program) -> str:
    status, body = program.get("/readyz")
    return body if status == 503 else ""


def test_a_delay_topic_made_again_is_read_from_its_start(stack: Stack, receiver) -> None:
    stack.config["retry"] = {"delays": ["2s"], "jitter": 0}
    stack.add_instance(receiver)
    receiver.answer("/cb", Rule(status=500, times=8))
    ingest = stack.ingest()
    relay = stack.relay()
    bodies = send(stack, 8)
    receiver.wait_for(16, 60)
    stack.wait_committed()
    make_again(stack, "retry.2s")
    # Ingest may have seen it missing; it accepts nothing that could not be parked.
    hold(6)
    until(lambda: not reasons(ingest) and not reasons(relay), 60, "both to be ready", pause=0.2)
    # Fewer failures in a row than open the circuit, and more than before stands in the new log in
    # the end: the old position lies inside it.
    receiver.answer("/cb", Rule(status=500, times=9))
    bodies += send(stack, 9, first=8)
    until(
        lambda: len({d.body for d in receiver.deliveries() if d.status == 200}) == 17,
        60,
        "what was parked behind the deletion",
    )
    verdict = judge(receiver.deliveries(), bodies)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])
    assert relay.metric("eventrelay_relay_log_restarts_total") >= 1
    assert relay.said("delay topic lost its position and is read from its start")


def test_a_delay_topic_made_again_with_fewer_partitions_follows(stack: Stack, receiver) -> None:
    stack.config["retry"] = {"delays": ["2s"], "jitter": 0}
    stack.add_instance(receiver)
    ingest = stack.ingest()
    relay = stack.relay()
    receiver.answer("/cb", Rule(status=500, times=8))
    bodies = send(stack, 8)
    receiver.wait_for(16, 60)
    stack.wait_committed()
    make_again(stack, "retry.2s", PARTITIONS // 2)
    until(lambda: "they must agree" in reasons(relay) + reasons(ingest), 20, "a reason", pause=0.05)
    until(lambda: not reasons(relay) and not reasons(ingest), 30, "both to be ready", pause=0.2)
    receiver.answer("/cb", Rule(status=500, times=9))
    bodies += send(stack, 9, first=8)
    until(
        lambda: len({d.body for d in receiver.deliveries() if d.status == 200}) == 17,
        60,
        "what was parked in the new topic",
    )
    verdict = judge(receiver.deliveries(), bodies)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])


def delivered(receiver) -> list[str]:
    """The provider's ids of what was answered with 200, in order."""
    done = [d for d in receiver.deliveries() if d.status == 200]
    return [json.loads(d.body)["message"]["raw"]["id"] for d in done]


def ids(bodies: list[bytes]) -> set[str]:
    return {box.provider_id(raw) for raw in bodies}


def ready(*programs) -> None:
    for program in programs:
        until(lambda p=program: not reasons(p), 60, f"{program.name} to be ready", pause=0.2)


def refused(stack: Stack) -> bool:
    """Whether ingest takes nothing in now; what is sent is an event that nobody waits for."""
    ingest = next(p for p in stack.programs if p.name == "eventrelay-ingest")
    load = feed(ingest.port, 1, first=9_000_000, connections=1, again=ONCE)[1].finish(10)
    return [answer.status for answer in load.answers] == [503]


@pytest.mark.parametrize("partitions", [PARTITIONS, 2 * PARTITIONS])
def test_events_made_again_are_read_from_their_start(
    stack: Stack, receiver, partitions: int
) -> None:
    """More stands in the new log than was read of the old one: the old position lies inside it."""
    stack.add_instance(receiver)
    ingest, relay = stack.ingest(), stack.relay()
    send(stack, 10)
    receiver.wait_for(10, 20)
    stack.wait_committed()
    make_again(stack, "events", partitions)
    bodies, load = feed(
        ingest.port, 24, first=100, connections=1, again=frozenset({503}), pause=0.5
    )
    load.finish(60)
    until(lambda: ids(bodies) <= set(delivered(receiver)), 60, "all of the new log", pause=0.2)
    ready(ingest, relay)
    # A group that joined again for the new partitions has no position left to be sent back from.
    rejoined = partitions != PARTITIONS and relay.said("the log of a partition has begun anew")
    assert relay.metric("eventrelay_relay_log_restarts_total") >= 1 or rejoined
    told = relay.said("the events of a partition are read from the start of their log")
    told += relay.said("partition went backwards: its log was cut or is read again")
    assert len(told) == len({line["partition"] for line in told}), "each is said once"
    more = send(stack, 3, first=200)
    until(lambda: ids(more) <= set(delivered(receiver)), 20, "what comes then", pause=0.2)
    stack.wait_committed()


def test_events_made_again_with_fewer_partitions_hold_all_with_a_reason(
    stack: Stack, receiver
) -> None:
    """What is parked in a partition that `events` does not have would wait for ever."""
    stack.add_instance(receiver)
    ingest, relay = stack.ingest(), stack.relay()
    send(stack, 10)
    receiver.wait_for(10, 20)
    make_again(stack, "events", PARTITIONS // 2)
    for program in (ingest, relay):
        until(lambda p=program: "they must agree" in reasons(p), 30, "a reason", pause=0.1)
    assert refused(stack)
    make_again(stack, "events", PARTITIONS)
    hold(5)  # a look without it, and one with it
    ready(ingest, relay)
    bodies = send(stack, 24, first=100)
    until(lambda: ids(bodies) <= set(delivered(receiver)), 60, "the new events", pause=0.2)
    assert relay.metric("eventrelay_relay_log_restarts_total") >= 1


def test_events_made_again_leave_nobody_ahead_of_the_log(stack: Stack, receiver) -> None:
    """What is under way of the old log is named in no cursor of the new one, where other events
    have its offsets: a pause and what follows it skip nothing and send nothing twice."""
    stack.config["topics"]["partitions"] = 1
    stack.add_instance(receiver, concurrency=1, timeout="60s")
    receiver.answer("/cb", Rule(delay=20, times=1))
    ingest, relay = stack.ingest(), stack.relay()
    send(stack, 20)
    receiver.wait_for(1, 20)  # it is answered in twenty seconds
    make_again(stack, "events", 1)
    hold(5)
    ready(ingest, relay)
    bodies = send(stack, 20, first=100)
    until(lambda: relay.metric("eventrelay_relay_log_restarts_total") >= 1, 20, "a new log")
    switch(relay, "off")
    hold(2)
    switch(relay, "on")
    until(lambda: ids(bodies) <= set(delivered(receiver)), 60, "the new events", pause=0.2)
    hold(2)
    assert len(delivered(receiver)) == len(set(delivered(receiver)))


def test_events_made_again_wait_for_who_is_paused(stack: Stack, receiver) -> None:
    """The cursor of a pause stands in the old log, behind where the new one begins."""
    stack.add_instance(receiver)
    ingest, relay = stack.ingest(), stack.relay()
    send(stack, 10)
    receiver.wait_for(10, 20)
    switch(relay, "off")
    make_again(stack, "events")
    bodies, load = feed(
        ingest.port, 24, first=100, connections=1, again=frozenset({503}), pause=0.5
    )
    load.finish(60)
    until(lambda: relay.metric("eventrelay_relay_log_restarts_total") >= 1, 20, "a new log")
    hold(3, lambda: receiver.count() == 10, "it is still paused")
    switch(relay, "on")
    until(lambda: ids(bodies) <= set(delivered(receiver)), 60, "all of the new log", pause=0.2)
    hold(2)
    assert len(delivered(receiver)) == len(set(delivered(receiver)))


def test_events_made_again_while_the_relay_is_down_are_not_skipped(stack: Stack, receiver) -> None:
    """A cursor of the old log outlives it in `state`."""
    stack.add_instance(receiver)
    ingest, relay = stack.ingest(), stack.relay()
    send(stack, 10)
    receiver.wait_for(10, 20)
    switch(relay, "off")
    send(stack, 10, first=50)
    stack.wait_committed()
    assert relay.end()[0] == 0
    make_again(stack, "events")
    hold(5)
    ready(ingest)
    bodies = send(stack, 30, first=100)
    relay = stack.relay()
    hold(2, lambda: receiver.count() == 10, "it is still paused")
    switch(relay, "on")
    until(lambda: ids(bodies) <= set(delivered(receiver)), 60, "all of the new log", pause=0.2)
    assert relay.metric("eventrelay_relay_log_restarts_total") >= 1


@pytest.mark.parametrize("end", ["drain", "kill"])
def test_a_relay_that_ends_as_events_are_made_again_skips_nothing(
    stack: Stack, receiver, end: str
) -> None:
    """What it commits at its end, or has committed, is a position of the old log."""
    stack.add_instance(receiver)
    ingest, relay = stack.ingest(), stack.relay()
    send(stack, 10)
    receiver.wait_for(10, 20)
    make_again(stack, "events")
    if end == "drain":
        assert relay.end()[0] == 0
    else:
        relay.kill()
    bodies, load = feed(
        ingest.port, 24, first=100, connections=1, again=frozenset({503}), pause=0.5
    )
    load.finish(60)
    relay = stack.relay(ready=False)
    relay.wait_ready(90)  # after a kill the group waits for the session to end
    until(lambda: ids(bodies) <= set(delivered(receiver)), 60, "all of the new log", pause=0.2)
    ready(ingest, relay)


@pytest.mark.parametrize("partitions", [PARTITIONS, PARTITIONS // 2])
def test_a_state_topic_made_again_is_written_again(
    stack: Stack, receiver, partitions: int
) -> None:
    stack.add_instance(receiver)
    ingest, relay = stack.ingest(), stack.relay()
    switch(relay, "off")
    bodies = send(stack, 10)
    stack.wait_committed()
    make_again(stack, "state", partitions)
    until(lambda: relay.metric("eventrelay_relay_log_restarts_total") >= 1, 30, "a new log")
    hold(3)
    ready(ingest, relay)
    assert relay.end()[0] == 0
    relay = stack.relay()
    hold(2, lambda: receiver.count() == 0, "it is still paused")
    switch(relay, "on")
    receiver.wait_for(10, 30)
    verdict = judge(receiver.deliveries(), bodies)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])


@pytest.mark.parametrize("seen", ["seen", "not seen yet"])
def test_a_drain_right_after_state_was_made_again_leaves_all_written(
    stack: Stack, receiver, seen: str
) -> None:
    stack.add_instance(receiver)
    stack.ingest()
    relay = stack.relay()
    switch(relay, "off")
    bodies = send(stack, 10)
    stack.wait_committed()
    make_again(stack, "state")
    again = "state of a partition is written again, since its log has begun anew"
    if seen == "seen":
        until(lambda: relay.said(again), 30, "the new log to be seen", pause=0.005)
    assert relay.end()[0] == 0
    relay = stack.relay()
    hold(2, lambda: receiver.count() == 0, "it is still paused")
    switch(relay, "on")
    receiver.wait_for(10, 30)
    verdict = judge(receiver.deliveries(), bodies)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])


def test_a_state_topic_made_again_with_more_partitions_is_a_reason(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    ingest, relay = stack.ingest(), stack.relay()
    switch(relay, "off")
    bodies = send(stack, 10)
    make_again(stack, "state", 2 * PARTITIONS)
    for program in (ingest, relay):
        until(lambda p=program: "they must agree" in reasons(p), 30, "a reason", pause=0.1)
    assert refused(stack)
    make_again(stack, "state")
    hold(5)
    ready(ingest, relay)
    switch(relay, "on")
    receiver.wait_for(10, 30)
    verdict = judge(receiver.deliveries(), bodies)
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])


def test_no_topic_made_again_ends_a_process(tour: Stack, provider, receiver) -> None:
    """Also of those that are read now and then, or hardly written. A client library that keeps
    something of the former topic comes upon it with the next one, hence twice."""
    tour.config["retry"] = {"delays": ["2s"], "jitter": 0}
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/cb"), KEY).json["id"]

    def works(first: int) -> None:
        options = {"first": first, "connections": 1, "again": frozenset({503}), "pause": 0.5}
        bodies, load = feed(ingest.port, 24, made, **options)
        load.finish(60)
        until(lambda: ids(bodies) <= set(delivered(receiver)), 60, "all events", pause=0.2)
        for path in ("/instances/events", "/instances/events/analytics"):
            until(lambda at=path: api.call("GET", at).status == 200, 20, path, pause=0.2)

    works(0)
    all_topics = admin(tour).list_topics(timeout=10).topics
    ours = {name: len(all_topics[name].partitions) for name in all_topics if tour.prefix in name}
    assert len(ours) == 7
    for turn in (1, 2):
        for name, partitions in ours.items():
            make_again(tour, name.removeprefix(tour.prefix), partitions)
        ready(ingest, relay)
        works(100 * turn)
    assert ingest.alive() and relay.alive()


def test_partitions_added_while_all_runs_are_read(stack: Stack, receiver) -> None:
    for number in range(1, 25):
        stack.add_instance(receiver, number=number, path=f"/{number}")
    stack.add_instance(receiver)
    ingest = stack.ingest()
    relay = stack.relay()
    send(stack, 1)
    receiver.wait_for(1, 20)
    name = stack.events
    grow(stack, name, 2 * PARTITIONS)

    def grown() -> bool:
        topics = admin(stack).list_topics(timeout=10).topics
        return all(
            len(topics[stack.prefix + topic].partitions) == 2 * PARTITIONS
            for topic in ("events", "state", "dead")
        )

    until(grown, 30, "the other topics to follow", pause=0.5)
    until(
        lambda: relay.metric("eventrelay_relay_assigned_partitions") == 2 * PARTITIONS,
        60,
        "the new partitions to be taken over",
        pause=0.5,
    )
    until(lambda: not reasons(relay) and not reasons(ingest), 20, "both to be ready", pause=0.2)
    bodies = send(stack, 40, first=1)
    receiver.wait_for(41, 60)
    assert judge(receiver.deliveries(), bodies).lost == []


def test_partitions_that_can_not_follow_stop_ingest_with_a_reason(stack: Stack, receiver) -> None:
    stack.config["topics"]["create"] = True
    stack.add_instance(receiver)
    first = stack.ingest()
    first.end()
    stack.config["topics"]["create"] = False
    ingest = stack.ingest()
    relay = stack.relay()
    grow(stack, stack.events, 2 * PARTITIONS)
    for program in (ingest, relay):
        until(lambda p=program: "they must agree" in reasons(p), 20, "a reason", pause=0.2)
    load = feed(ingest.port, 1, connections=1, again=ONCE)[1]
    load.finish(10)
    assert [answer.status for answer in load.answers] == [503]


def test_a_relay_before_a_broker_that_hangs_is_not_ready(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    stack.ingest()
    relay = stack.relay()
    stack.broker.pause()
    try:
        # The time that docs/operations.md states, and a little for a machine that is busy.
        until(lambda: "Kafka does not answer" in reasons(relay), 12, "a reason", pause=0.2)
        assert relay.metric("eventrelay_relay_kafka_available") == 0
        hold(20, lambda: reasons(relay) != "", "not ready as long as it lasts")
        assert len(relay.said("Kafka does not answer")) == 1
    finally:
        stack.broker.resume()
    until(lambda: not reasons(relay), 30, "the relay to be ready", pause=0.2)
    assert relay.metric("eventrelay_relay_kafka_available") == 1
    bodies = send(stack, 3)
    receiver.wait_for(3, 30)
    assert judge(receiver.deliveries(), bodies).lost == []


def test_a_relay_whose_events_are_gone_is_not_ready_and_begins_with_the_new_ones(
    stack: Stack, receiver
) -> None:
    stack.add_instance(receiver)
    ingest = stack.ingest()
    relay = stack.relay()
    send(stack, 10)
    receiver.wait_for(10, 20)
    stack.wait_committed()
    name = stack.events
    delete(stack, name)
    until(lambda: "does not exist" in reasons(relay), 20, "a reason", pause=0.2)
    hold(5)  # two looks without it
    assert relay.metric("eventrelay_relay_kafka_available") == 0
    assert len(relay.said("kafka topic does not exist")) == 1
    create(stack, name, PARTITIONS)
    until(lambda: not reasons(relay) and not reasons(ingest), 60, "both to be ready", pause=0.5)
    send(stack, 5, first=10)
    until(lambda: len({d.body for d in receiver.deliveries()}) == 15, 60, "the new events")


def test_the_status_tells_when_who_fails_is_called_next(stack: Stack, receiver) -> None:
    stack.config["retry"] = {"delays": ["200ms", "40s"], "jitter": 0}
    stack.add_instance(receiver)
    receiver.answer("/cb", Rule(status=500))
    stack.ingest()
    relay = stack.relay()
    send(stack, 2)

    def next_ms() -> list[float]:
        status = json.loads(relay.get("/api/v1/status")[1])
        return [one["next_attempt_ms"] for one in status["failing"]]

    until(lambda: len(receiver.deliveries()) == 4, 20, "both attempts of both")
    asked_ms = time.time() * 1000
    until(lambda: any(at > asked_ms + 20_000 for at in next_ms()), 10, "the last step is shown")
    assert len(next_ms()) == 1 and next_ms()[0] < asked_ms + 41_000


def test_each_change_of_a_subscription_is_told_once(stack: Stack, receiver) -> None:
    stack.config["retry"] = {"delays": ["200ms"], "jitter": 0}
    stack.add_instance(receiver)
    receiver.answer("/cb", Rule(status=500, times=12))
    stack.ingest()
    relay = stack.relay()
    send(stack, 6)
    until(lambda: relay.said("events of a subscription become dead letters"), 30, "a line")
    receiver.answer("/cb", None)
    send(stack, 1, first=6)
    until(lambda: relay.said("subscription answers again"), 30, "a line")
    (fails,) = relay.said("subscription fails")
    assert (fails["outcome"], fails["status"]) == ("http_5xx", 500)
    assert len(relay.said("events of a subscription become dead letters")) == 1


def test_retry_after_holds_the_whole_subscription(stack: Stack, receiver) -> None:
    # The hold is cut to the longest step, so one step is longer than the hold.
    stack.config["retry"] = {"delays": ["1s", "8s"], "jitter": 0}
    stack.add_instance(receiver, concurrency=2)
    receiver.answer("/cb", Rule(status=429, headers="Retry-After: 5\r\n", times=2))
    stack.ingest()
    stack.relay()
    bodies = send(stack, 40)
    receiver.wait_for(40, 60)
    until(lambda: judge(receiver.deliveries(), bodies).lost == [], 60, "all of them")
    deliveries = sorted(receiver.deliveries(), key=lambda one: one.at)
    asked = next(d.at for d in deliveries if d.status == 429)
    early = [d for d in deliveries if asked < d.at < asked + 4.9]
    assert len(early) <= 2, f"{len(early)} requests within the pause"
