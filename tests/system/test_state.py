"""The state topic on a real broker: two owners of one partition, and which of them counts."""

from __future__ import annotations

import json
import signal

from confluent_kafka import Producer
from support.kafka_log import Record, read_topic
from support.receiver import Rule
from support.stack import INSTANCE, Stack, feed, judge
from support.wait import until

EVENTS = 300


def state(stack: Stack) -> dict[str, Record]:
    """The last record of each key, as compaction would leave it."""
    records = read_topic(stack.broker.bootstrap, stack.prefix + "state")
    return {(record.key or b"").decode(): record for record in records}


def cursors(stack: Stack) -> dict[str, dict]:
    return {
        key: json.loads(record.value)
        for key, record in state(stack).items()
        if key != "owner" and record.value
    }


def write_as_zombie(stack: Stack, partition: int, records: dict[str, dict | None]) -> None:
    producer = Producer({"bootstrap.servers": stack.broker.bootstrap, "acks": "all"})
    for key, value in records.items():
        text = None if value is None else json.dumps(value, separators=(",", ":"))
        producer.produce(stack.prefix + "state", text, key, partition=partition)
    assert producer.flush(10) == 0


def detach(stack: Stack, receiver) -> tuple[list[bytes], str, int]:
    """Starts a relay whose subscriber hangs; returns what was sent, the key of the backlog's cursor
    and its partition."""
    stack.config["detach"] = {"after": 16, "sweep_interval": "200ms"}
    stack.config["kafka"] |= {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}
    stack.add_instance(receiver, concurrency=2)
    receiver.answer("/cb", Rule(status=200, delay=60))
    ingest = stack.ingest()
    stack.relay()
    bodies, load = feed(ingest.port, EVENTS, connections=1)
    load.finish(20)
    until(lambda: cursors(stack), 30, "a cursor in the state topic", pause=0.2)
    ((key, _),) = cursors(stack).items()
    return bodies, key, state(stack)[key].partition


def recover(stack: Stack, receiver, bodies: list[bytes]) -> None:
    """Starts the next owner and waits until everything is delivered."""
    receiver.answer("/cb", Rule(status=200))
    stack.relay()

    def all_there() -> bool:
        return not judge(receiver.deliveries(), bodies).lost

    until(all_there, 60, "everything delivered", pause=0.2)
    assert judge(receiver.deliveries(), bodies).wrong == []


def kill(stack: Stack) -> None:
    relay = next(p for p in stack.programs if p.name == "eventrelay-relay")
    relay.process.send_signal(signal.SIGKILL)
    relay.process.wait(10)


def test_what_an_older_owner_writes_late_is_written_again(stack: Stack, receiver) -> None:
    bodies, key, partition = detach(stack, receiver)
    cursor = cursors(stack)[key]
    assert cursor["subscription"] == str(INSTANCE) and cursor["epoch"] >= 1
    late = {**cursor, "cursor": cursor["cursor"] + 250, "epoch": cursor["epoch"] - 1}
    late.pop("ranges", None)
    stray = {**late, "from": cursor["cursor"] + 250, "cursor": cursor["cursor"] + 250}
    stray_key = f"{INSTANCE}@{stray['from']}"
    write_as_zombie(stack, partition, {key: late, stray_key: stray})

    def repaired() -> bool:
        now = state(stack)
        mine = now[key].value and json.loads(now[key].value)
        return bool(mine) and mine["epoch"] == cursor["epoch"] and not now[stray_key].value

    until(repaired, 20, "both are written again", pause=0.2)
    write_as_zombie(stack, partition, {key: None})
    until(lambda: state(stack)[key].value, 20, "the cursor is written again", pause=0.2)
    kill(stack)
    recover(stack, receiver, bodies)


def test_a_late_mark_of_a_former_owner_does_not_stop_the_true_one(stack: Stack, receiver) -> None:
    """The owner marks again, with the next epoch, and delivers everything itself."""
    bodies, key, partition = detach(stack, receiver)
    epoch = cursors(stack)[key]["epoch"]
    write_as_zombie(stack, partition, {"owner": {"v": 1, "owner": "late", "epoch": epoch + 1}})

    def mark() -> dict:
        records = read_topic(stack.broker.bootstrap, stack.prefix + "state")
        marks = [r for r in records if r.key == b"owner" and r.partition == partition]
        return json.loads(marks[-1].value)

    until(lambda: mark()["epoch"] == epoch + 2, 20, "a new mark", pause=0.2)
    # A mark of the same epoch comes too late to count; the owner writes its own behind it again.
    owner = mark()["owner"]
    write_as_zombie(stack, partition, {"owner": {"v": 1, "owner": "late", "epoch": epoch + 2}})
    until(lambda: mark()["owner"] == owner, 20, "its mark again", pause=0.2)
    receiver.answer("/cb", Rule(status=200))
    relay = next(p for p in stack.programs if p.name == "eventrelay-relay")
    # An attempt that hangs ends only with its timeout.
    until(lambda: not judge(receiver.deliveries(), bodies).lost, 90, "all delivered", pause=0.2)
    assert relay.process.poll() is None

    def said() -> bool:
        now = cursors(stack)
        return key not in now or now[key]["epoch"] == epoch + 2

    until(said, 20, "records of the new epoch", pause=0.2)


def test_what_an_older_owner_writes_after_a_kill_never_counts(stack: Stack, receiver) -> None:
    """No owner is left to write over it, so the next owner finds it behind the mark."""
    bodies, key, partition = detach(stack, receiver)
    cursor = cursors(stack)[key]
    kill(stack)
    late = {**cursor, "cursor": cursor["cursor"] + 250, "epoch": cursor["epoch"] - 1}
    late.pop("ranges", None)
    write_as_zombie(stack, partition, {key: late})
    write_as_zombie(stack, partition, {key: None})
    recover(stack, receiver, bodies)
    epochs = [json.loads(r.value)["epoch"] for k, r in state(stack).items() if k == "owner"]
    assert max(epochs) > cursor["epoch"]
