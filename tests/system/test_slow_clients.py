"""Thousands of clients that send a byte now and then cost the others next to nothing."""

from __future__ import annotations

import os
import socket

import pytest
from support import box
from support.load import Load
from support.stack import INSTANCE, Stack
from support.wait import until
from support.wire import exchange

SLOW = 5000


def _load(port: int, count: int, first: int, rate: float) -> Load:
    requests = [box.v2_request(INSTANCE, box.body(n)) for n in range(first, first + count)]
    load = Load(port, requests, connections=64, rate=rate)
    load.start()
    return load.finish(60)


def _in_time(load: Load, seconds: float = 0.25) -> int:
    return sum(answer.status == 202 and answer.seconds <= seconds for answer in load.answers)


@pytest.mark.alone
def test_slow_connections_beside_normal_load(stack: Stack, receiver, report) -> None:
    stack.add_instance(receiver)
    ingest = stack.ingest()
    rate, count = 1500, 4500
    before = _in_time(_load(ingest.port, count, 0, rate))
    fds = len(os.listdir(f"/proc/{ingest.pid}/fd"))
    rss = ingest.rss()

    head = box.v2_request(INSTANCE, box.body(1)).split(b"\r\n\r\n")[0]
    slow: list[socket.socket] = []
    try:
        for number in range(SLOW):
            peer = socket.create_connection(("127.0.0.1", ingest.port), 5)
            peer.send(head[: 1 + number % 60])
            slow.append(peer)
        until(lambda: ingest.metric("eventrelay_ingest_connections") >= SLOW * 0.9, 10, "slow ones")
        during = _in_time(_load(ingest.port, count, count, rate))
        grown = ingest.rss() - rss
        # Ingest ends each of them at the deadline for a head.
        until(lambda: ingest.metric("eventrelay_ingest_connections") < 100, 20, "slow ones gone")
    finally:
        for peer in slow:
            peer.close()
    report(
        f"answered in time {before} before, {during} beside {SLOW} slow connections of {count}; "
        f"{grown / SLOW / 1024:.1f} KiB each"
    )
    assert during >= 0.9 * before
    assert grown <= SLOW * 16 * 1024
    until(lambda: len(os.listdir(f"/proc/{ingest.pid}/fd")) <= fds + 8, 10, "descriptors freed")
    after = _in_time(_load(ingest.port, 500, 2 * count, rate))
    assert after >= 450


@pytest.mark.parametrize("step", [1, 7])
def test_a_slow_but_steady_client_is_served(stack: Stack, receiver, step: int) -> None:
    stack.add_instance(receiver)
    ingest = stack.ingest()
    raw = box.v2_request(INSTANCE, box.body(1))
    assert exchange(ingest.port, raw, step=step).replies[0].status == 202
