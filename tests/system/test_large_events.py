"""Events as large as a source allows: what is accepted can be parked, given up and counted, and the
checks compare what the brokers' topics really take."""

from __future__ import annotations

import json

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from support import box
from support.kafka_log import read_topic
from support.programs import run
from support.receiver import Rule
from support.stack import INSTANCE, Stack
from support.wait import until
from support.wire import exchange

MIB = 2**20


def body_of(number: int, size: int) -> bytes:
    """A Box event of exactly `size` bytes."""
    raw = json.loads(box.body(number))
    raw["pad"] = ""
    text = json.dumps(raw, separators=(",", ":"))
    raw["pad"] = "x" * (size - len(text))
    text = json.dumps(raw, separators=(",", ":"))
    assert len(text) == size
    return text.encode()


def post(port: int, raw: bytes) -> int:
    return exchange(port, box.v2_request(INSTANCE, raw), seconds=30).replies[0].status


@pytest.mark.parametrize("limit, sizes", [(None, (MIB,)), ("25MiB", (3_000_000, 25 * MIB))])
def test_what_is_accepted_can_be_parked_and_given_up(stack: Stack, receiver, limit, sizes) -> None:
    if limit is not None:
        stack.config["sources"]["box"]["body_max"] = limit
    stack.config["retry"] = {"delays": ["1s"], "jitter": 0}
    stack.add_instance(receiver)
    ingest, relay = stack.ingest(), stack.relay()
    bodies = [body_of(number, size) for number, size in enumerate(sizes)]
    receiver.answer("/cb", Rule(status=500, times=len(bodies)))
    for raw in bodies:
        assert post(ingest.port, raw) == 202
    assert post(ingest.port, body_of(9, sizes[-1] + 1)) == 413
    receiver.wait_for(2 * len(bodies), 60)
    done = [d.body for d in receiver.deliveries() if d.status == 200]
    assert sorted(len(raw) for raw in bodies) == sorted(
        next(len(raw) for raw in bodies if raw in body) for body in done
    )
    # Given up: each is in the dead letters, byte for byte, and nothing holds its partition.
    receiver.answer("/cb", Rule(status=500, times=2 * len(bodies)))
    more = [body_of(20 + number, size) for number, size in enumerate(sizes)]
    for raw in more:
        assert post(ingest.port, raw) == 202
    until(
        lambda: len(read_topic(stack.broker.bootstrap, stack.prefix + "dead")) == len(more),
        60,
        "dead letters",
        pause=0.5,
    )
    dead = read_topic(stack.broker.bootstrap, stack.prefix + "dead")
    assert sorted(r.value for r in dead) == sorted(more)
    stack.wait_committed()
    assert relay.get("/readyz")[0] == 200
    assert not relay.said("a record can not be written, its partition waits")


def test_topics_that_take_less_are_told_and_lower_what_is_accepted(stack: Stack, receiver) -> None:
    """Topics made by hand, with the limit of the broker: about 1 MiB with all headers."""
    stack.config["retry"] = {"delays": ["1s"], "jitter": 0}
    stack.add_instance(receiver)
    client = AdminClient({"bootstrap.servers": stack.broker.bootstrap, "log_level": 0})
    names = [stack.prefix + suffix for suffix in ("events", "retry.1s", "dead")]
    for done in client.create_topics([NewTopic(name, 6, 1) for name in names]).values():
        done.result(20)
    ingest, relay = stack.ingest(), stack.relay()
    path = str(stack.write())
    for command in (("topics", "check"), ("check-config", "--connect")):
        done = run("eventrelay", *command, "-c", path)
        assert done.returncode == 1, done
        for name in names:
            assert f'"{name}" takes records of'.encode() in done.stderr
        assert b"max.message.bytes" in done.stderr
    assert post(ingest.port, body_of(1, MIB)) == 413
    assert ingest.said("a topic takes less than ingest accepts, larger events are refused")
    # The largest that is accepted can wait and be given up too.
    low, high = 1000, MIB
    while high - low > 1:
        middle = (low + high) // 2
        status = post(ingest.port, body_of(1000 + middle, middle))
        assert status in (202, 413)
        low, high = (middle, high) if status == 202 else (low, middle)
    until(lambda: relay.metric("eventrelay_relay_assigned_partitions") == 6, 20, "partitions")
    receiver.answer("/cb", Rule(status=500, times=2))
    largest = body_of(7, low)
    assert post(ingest.port, largest) == 202
    until(
        lambda: [r.value for r in read_topic(stack.broker.bootstrap, names[2])] == [largest],
        60,
        "the largest as a dead letter",
        pause=0.5,
    )
    assert relay.get("/readyz")[0] == 200


def test_topics_check_names_topics_that_would_lose_records(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    path = str(stack.write())
    assert run("eventrelay", "topics", "init", "-c", path).returncode == 0
    admin = AdminClient({"bootstrap.servers": stack.broker.bootstrap})
    for topic, policy in (("state", "delete"), ("instances", "delete"), ("attempts", "compact")):
        changed = ConfigResource(
            ConfigResource.Type.TOPIC, stack.prefix + topic, set_config={"cleanup.policy": policy}
        )
        for future in admin.alter_configs([changed]).values():
            future.result(10)
    named = [f'topic "{stack.prefix}{each}" has cleanup.policy '
             for each in ("state", "instances", "attempts")]
    for command in (("topics", "check"), ("check-config", "--connect")):

        def told(command: tuple[str, str] = command) -> bool:
            done = run("eventrelay", *command, "-c", path)
            return done.returncode == 1 and all(each in done.stderr.decode() for each in named)

        until(told, 10, "the broker tells of its new properties some time after it took them")


@pytest.mark.parametrize("partitions", [6, 24, 3])
def test_topics_check_compares_the_counts(stack: Stack, receiver, partitions: int) -> None:
    stack.add_instance(receiver)
    stack.config["topics"]["partitions"] = 12
    assert run("eventrelay", "topics", "init", "-c", str(stack.write())).returncode == 0
    for command in (("topics", "check"), ("check-config", "--connect")):
        assert run("eventrelay", *command, "-c", str(stack.write())).returncode == 0
    stack.config["topics"]["partitions"] = partitions
    for command in (("topics", "check"), ("check-config", "--connect")):
        done = run("eventrelay", *command, "-c", str(stack.write()))
        assert done.returncode == 1
        line = f'"{stack.events}" has 12 partitions, topics.partitions is {partitions}'
        assert line.encode() in done.stderr
