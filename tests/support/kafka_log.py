"""What is really in Kafka: every record of a topic, and what a group has committed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from support.wait import until

_LEADERLESS = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)


@dataclass
class Record:
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: dict[str, str]
    header_names: list[str]


def open_reader(bootstrap: str, group: str = "checker") -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "log_level": 0,
            "fetch.wait.max.ms": 20,
        },
        logger=None,
    )


def watermarks(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Start and end; a partition that was just made has no leader for a moment."""

    def ask() -> tuple[int, int] | None:
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        except KafkaException as error:
            if not error.args[0].retriable() and error.args[0].code() not in _LEADERLESS:
                raise
            return None

    return until(ask, 20, f"{topic}/{partition} has a leader")


def topics(bootstrap: str, prefix: str = "") -> dict[str, int]:
    """Topics and their partition counts."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    found = admin.list_topics(timeout=10).topics
    return {name: len(t.partitions) for name, t in found.items() if name.startswith(prefix)}


def remove_topics(bootstrap: str, prefix: str) -> None:
    """Takes away every topic of one test, so that what a broker holds open does not grow with the
    number of tests it served."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    if names:
        for one in admin.delete_topics(names, operation_timeout=10).values():
            one.result(20)


def read_topic(bootstrap: str, topic: str, seconds: float = 60.0) -> list[Record]:
    """Every record from the start to the present end of each partition."""
    consumer = open_reader(bootstrap)
    try:
        meta = consumer.list_topics(topic, timeout=10).topics[topic]
        assert meta.partitions, f"no topic {topic}"
        ends = {}
        for partition in meta.partitions:
            low, high = watermarks(consumer, topic, partition)
            if high > low:
                ends[partition] = high
        records: list[Record] = []
        left = set(ends)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
        deadline = time.monotonic() + seconds
        while left:
            assert time.monotonic() < deadline, f"{topic}: not read in {seconds} s"
            for message in consumer.consume(1000, 1.0):
                if message.error():
                    # The last offsets may be marks of transactions, not records.
                    if message.error().code() == KafkaError._PARTITION_EOF:
                        left.discard(message.partition())
                    continue
                pairs = [(name, value.decode()) for name, value in message.headers() or []]
                records.append(
                    Record(
                        message.partition(),
                        message.offset(),
                        message.key(),
                        message.value(),
                        dict(pairs),
                        [name for name, _ in pairs],
                    )
                )
                if message.offset() + 1 >= ends[message.partition()]:
                    left.discard(message.partition())
        return records
    finally:
        consumer.close()


def ends(bootstrap: str, topic: str) -> dict[int, int]:
    consumer = open_reader(bootstrap)
    try:
        meta = consumer.list_topics(topic, timeout=10).topics[topic]
        return {p: watermarks(consumer, topic, p)[1] for p in meta.partitions}
    finally:
        consumer.close()


def lag(bootstrap: str, topic: str, group: str) -> int:
    """Records after the committed offsets of a group."""
    high = ends(bootstrap, topic)
    consumer = open_reader(bootstrap, group)
    try:
        committed = consumer.committed([TopicPartition(topic, p) for p in high], timeout=10)
        done = {c.partition: 0 if c.offset == OFFSET_INVALID else c.offset for c in committed}
        return sum(high[p] - max(0, done.get(p, 0)) for p in high)
    finally:
        consumer.close()
