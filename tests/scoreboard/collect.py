"""Reads what a scenario left in Kafka into Logs: topics with their log starts, and every commit.

Commits are records of `__consumer_offsets`; its active segment is not compacted, so each commit is
there with its metadata, not only the last one.
"""

from __future__ import annotations

import struct
import time
from typing import Iterator

from confluent_kafka import Message, TopicPartition

from scoreboard.logs import Commit, Got, Logged, Logs, digest
from support.endpoints import Endpoints
from support.kafka_log import open_reader, topics, watermarks

_KEEP_VALUE = ("state", "attempts")


def _text(raw: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">h", raw, at)
    return (raw[at + 2 : at + 2 + size].decode() if size > 0 else ""), at + 2 + max(0, size)


def _compact_text(raw: bytes, at: int) -> tuple[str, int]:
    """From version 4 of the record on (Kafka 4.1): its length plus one, seven bits a byte."""
    size = shift = 0
    while True:
        byte, at = raw[at], at + 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    size = max(0, size - 1)
    return raw[at : at + size].decode(), at + size


def parse_commit(key: bytes, value: bytes | None) -> tuple | None:
    """Group, topic, partition, offset, metadata, time; None: not a commit."""
    if value is None or key is None or struct.unpack_from(">h", key)[0] > 1:
        return None
    group, at = _text(key, 2)
    topic, at = _text(key, at)
    (partition,) = struct.unpack_from(">i", key, at)
    version, offset = struct.unpack_from(">hq", value)
    at = 10 + (4 if version >= 3 else 0)
    metadata, at = _compact_text(value, at) if version >= 4 else _text(value, at)
    (ms,) = struct.unpack_from(">q", value, at)
    return group, topic, partition, offset, metadata, ms / 1000


def messages(
    bootstrap: str, topic: str, seconds: float = 60.0, since: dict[int, int] | None = None
) -> Iterator[Message]:
    """Every record from log start, or `since` an offset of each partition, to the present end, in
    order within a partition."""
    consumer = open_reader(bootstrap)
    try:
        ends = {}
        for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            low, high = watermarks(consumer, topic, partition)
            low = max(low, (since or {}).get(partition, low))
            if high > low:
                ends[partition] = (low, high)
        consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in ends.items()])
        left, deadline = set(ends), time.monotonic() + seconds
        while left:
            assert time.monotonic() < deadline, f"{topic}: not read in {seconds} s"
            for message in consumer.consume(2000, 1.0):
                partition = message.partition()
                if message.error():  # the end: control records may stand behind the last record
                    left.discard(partition)
                    continue
                yield message
                if message.offset() + 1 >= ends[partition][1]:
                    left.discard(partition)
    finally:
        consumer.close()


def _logged(message: Message, name: str) -> Logged:
    body = message.value()
    return Logged(
        name,
        message.partition(),
        message.offset(),
        message.timestamp()[1] / 1000,
        {header: value.decode() for header, value in message.headers() or []},
        digest(body) if body is not None else b"",
        (message.key() or b"").decode(),
        body if name in _KEEP_VALUE else None,
    )


def commits(bootstrap: str, prefix: str) -> list[Commit]:
    """Every commit of topics with this prefix; topics without it."""
    if "__consumer_offsets" not in topics(bootstrap, "__consumer_offsets"):
        return []
    found = []
    for message in messages(bootstrap, "__consumer_offsets"):
        parsed = parse_commit(message.key(), message.value())
        if parsed is not None and parsed[1].startswith(prefix):
            found.append(Commit(parsed[0], parsed[1][len(prefix) :], *parsed[2:]))
    return found


def read_kafka(logs: Logs, bootstrap: str, prefix: str) -> None:
    """Fills in records, starts, ends and commits."""
    consumer = open_reader(bootstrap)
    try:
        for topic, count in sorted(topics(bootstrap, prefix).items()):
            name = topic[len(prefix) :]
            for partition in range(count):
                low, high = watermarks(consumer, topic, partition)
                logs.starts[(name, partition)] = low
                logs.ends[(name, partition)] = high
    finally:
        consumer.close()
    for name in sorted({name for name, _ in logs.ends}):
        into = {"events": logs.events, "dead": logs.dead, "state": logs.state}.get(name)
        if name.startswith("retry."):
            into = logs.parked
        if into is None or not any(high for (n, _), high in logs.ends.items() if n == name):
            continue
        into += [_logged(message, name) for message in messages(bootstrap, prefix + name)]
    logs.commits = commits(bootstrap, prefix)


def read_endpoints(logs: Logs, all_of_them: list[Endpoints], sub_by_path: dict[str, str]) -> None:
    rows = [row for endpoints in all_of_them for row in endpoints.rows()]
    rows.sort(key=lambda row: row.at)
    logs.got = [Got(sub_by_path[r.path], *r[1:]) for r in rows if r.path in sub_by_path]
