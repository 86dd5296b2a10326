"""Faults of Kafka: rows K1 to K13."""

from __future__ import annotations

import struct
import socket
import time

from scoreboard.board import not_built, row
from scoreboard.logs import Caps
from scoreboard.rows_loss import many
from scoreboard.scene import Fed, Scene, percentile
from support.kafka_log import ends
from support.load import RESET
from support.wait import hold, until

MIB = 1 << 20


def first_status(fed: Fed, status: int, after: float) -> float | None:
    of_it = (a.done for a in fed.load.answers if a.status == status and a.sent >= after)
    return min(of_it, default=None)


@row("K1", "all brokers away, then back on the same data", "CN", 1, 100, 200, nightly_nodes=3)
def all_away(scene: Scene) -> None:
    many(scene, 8, concurrency=16)
    ingest, relay = scene.ingest(), scene.relay()
    rate, away = 200, (60.0 if scene.nightly else 15.0)
    broker = scene.cluster.broker
    fed = scene.feed(int(rate * (away + 60)), connections=1500, rate=rate)
    until(lambda: fed.load.statuses()[202] > rate, 20, "load runs")
    gone = time.monotonic()
    broker.kill()
    hold(away, lambda: ingest.alive() and relay.alive(), "the programs live")
    first = first_status(fed, 503, gone)
    assert first is not None, f"no 503 while the brokers were away: {fed.load.statuses()}"
    scene.at_most("first 503 after", first - gone, 1.0, " s")
    late = [a.seconds for a in fed.load.answers if a.status == 503 and a.sent > first + 1.0]
    scene.at_most("p99 of a 503", percentile(late, 0.99) * 1000, 50, " ms")
    broker.restart()
    scene.cluster.wait_full()
    ready = time.monotonic()
    back = until(lambda: first_status(fed, 202, ready), 30, "a 202 again")
    scene.at_most("202 again after", back - ready, 3.0, " s")
    hold(1.0)
    fed.load.stop()
    fed.finish(30)
    scene.exactly("reset", fed.load.statuses()[RESET], 0)
    scene.settle()
    scene.judge(caps={"ingest": Caps(rss=150 * MIB), "relay": Caps(rss=150 * MIB)})


@row("K2", "one of three brokers away", "CN", nodes=3, seconds=120, nightly=300)
def one_away(scene: Scene) -> None:
    many(scene, 24, concurrency=16)
    scene.ingest()
    scene.relay()
    scene.cluster.wait_full(prefix=scene.stack.prefix)
    rate, away = 400, (30.0 if scene.nightly else 12.0)
    broker = scene.cluster.broker
    fed = scene.feed(int(rate * 200), connections=1500, rate=rate)
    until(lambda: fed.load.statuses()[202] > rate, 20, "load runs")
    for way in ("SIGTERM", "SIGKILL") if scene.nightly else ("SIGKILL",):
        node = scene.rng.choice(broker.nodes)
        gone = time.monotonic()
        node.stop() if way == "SIGTERM" else node.kill()
        hold(away)
        # A killed node is fenced after its session of 3 s, found within another half.
        judged_from = gone + (3.5 + 3.0 if way == "SIGKILL" else 0.0)
        until_now = gone + away - 1.0
        part = [a for a in fed.load.answers if judged_from <= a.sent <= until_now]
        taken = sum(a.status == 202 for a in part)
        wanted = rate * (until_now - judged_from)
        scene.at_least(f"2xx after {way}", 100 * taken / wanted, 95, " %")
        broker.restart()
        scene.cluster.wait_full()
        hold(1.0)
    fed.load.stop()
    fed.finish(60)
    scene.note(f"answers {dict(sorted(fed.load.statuses().items()))}")
    scene.settle(90)
    scene.judge()


not_built("K3", "acknowledgement withheld or lost, 100 times", "N")
not_built("K4", "14 retriable error codes by the embedded broker, 4 real causes", "CN")
not_built("K5", "errors that stay: too large, not authorised, invalid", "C")
not_built("K6", "fatal error of the idempotent producer", "C")
not_built("K7", "rebalance storm", "N")
not_built("K8", "commits refused or unanswered for 30 s", "N")


def delete_records(port: int, topic: str, before: dict[int, int]) -> None:
    """DeleteRecords v0 by hand: the client library at hand has no call for it. Partitions of which
    this node is not the leader are an error; with one node it always is."""
    name = topic.encode()
    body = struct.pack(">ih", 1, len(name)) + name + struct.pack(">i", len(before))
    for partition, offset in before.items():
        body += struct.pack(">iq", partition, offset)
    request = struct.pack(">hhih", 21, 0, 1, -1) + body + struct.pack(">i", 10_000)
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        peer.sendall(struct.pack(">i", len(request)) + request)
        answer = b""
        while len(answer) < 4 or len(answer) < 4 + struct.unpack(">i", answer[:4])[0]:
            part = peer.recv(4096)
            assert part, "the broker ended the connection"
            answer += part
    at = 4 + 4 + 4 + 4 + 2 + len(name) + 4
    for _ in before:
        partition, _, error = struct.unpack_from(">iqh", answer, at)
        assert error == 0, f"{topic}/{partition}: DeleteRecords answered {error}"
        at += 14


@row("K9", "the log is cut past the committed offset", "C", seconds=90)
def log_cut(scene: Scene) -> None:
    many(scene, 6, concurrency=16)
    scene.ingest()
    relay = scene.relay()
    scene.pour(600)
    scene.endpoints.wait_taken(600, 30)
    scene.settle()
    scene.end(relay)
    # While no relay runs: 600 more, of which the first hundred or so of some partitions are lost.
    scene.pour(600)
    high = ends(scene.stack.broker.bootstrap, scene.stack.events)
    cut = {p: high[p] - 40 for p in list(high)[:3] if high[p] > 120}
    assert cut, f"too few records to cut: {high}"
    delete_records(scene.cluster.broker.nodes[0].port, scene.stack.events, cut)
    relay = scene.relay()
    scene.settle()
    logs = scene.logs()
    gone = 1200 - len(logs.events)
    kept = {r.id for r in logs.events}
    taken = {g.event for g in logs.got if 200 <= g.status < 300}
    second = {i for a in logs.answers if a.request >= 600 for i in a.ids}
    scene.exactly("in the log, not delivered", len(kept - taken), 0)
    scene.note(f"cut away {gone}, of them not delivered before {len(second - kept - taken)}")
    alarm = relay.metric("eventrelay_kafka_consumer_errors_total")
    scene.at_least("alarm metric", alarm, 1)
    told = [line for line in relay.lines() if line.get("level") in ("warn", "error")]
    scene.at_least("log lines that tell", len(told), 1)


not_built("K10", "slow broker, 500 ms round trip", "N")
not_built("K11", "dead-letter topic unwritable for 60 s", "C")
not_built("K12", "full disk, read-only log", "N")
not_built("K13", "256 file descriptors, a memory limit", "N")
