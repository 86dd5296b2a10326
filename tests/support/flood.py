"""Copies of one event into Kafka, at a fixed rate, in a process of its own.

Why:    a million events in minutes beside a measurement: through ingest their sender and ingest
        take a core, and what is measured waits for it. The record that ingest wrote is the model:
        its headers, its bytes and its partition; only the ids are new.
Bounds: as many as told; only to loopback.

    flood.py    arguments as JSON on stdin: bootstrap, topic, partition, key, value, headers (a list
                of pairs, hexadecimal as the value), id, provider_id, count, rate
"""

from __future__ import annotations

import json
import sys
import time

from confluent_kafka import Producer


def new_id(number: int) -> str:
    return f"{number:08x}-0000-8000-8000-{number:012x}"


def flood(order: dict) -> None:
    assert all(one.startswith("127.") for one in order["bootstrap"].split(",")), "loopback only"
    wrong = []

    def report(error, _message) -> None:
        if error is not None:
            wrong.append(error)

    producer = Producer(
        {
            "bootstrap.servers": order["bootstrap"],
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "queue.buffering.max.messages": 200_000,
        }
    )
    value, old = bytes.fromhex(order["value"]), order["provider_id"].encode()
    headers = {name: bytes.fromhex(raw) for name, raw in order["headers"]}
    begin = time.monotonic()
    for number in range(order["count"]):
        if number % 50 == 0:
            wait = begin + number / order["rate"] - time.monotonic()
            producer.poll(max(0.0, wait))
            while (wait := begin + number / order["rate"] - time.monotonic()) > 0:
                time.sleep(min(wait, 0.02))
        fresh = new_id(number).encode()
        headers["er-id"] = headers["er-provider-id"] = fresh
        headers["er-received"] = str(int(time.time() * 1000)).encode()
        while True:
            try:
                producer.produce(
                    order["topic"],
                    value.replace(old, fresh),
                    order["key"],
                    order["partition"],
                    on_delivery=report,
                    headers=list(headers.items()),
                )
                break
            except BufferError:
                producer.poll(0.1)
    left = producer.flush(60)
    assert not left and not wrong, f"{left} not acknowledged, {wrong[:1]}"
    print(f"{order['count']} in {time.monotonic() - begin:.1f} s")


if __name__ == "__main__":
    flood(json.load(sys.stdin))
