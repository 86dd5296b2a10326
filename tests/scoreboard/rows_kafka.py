"""Faults of Kafka: rows K1 to K14."""

from __future__ import annotations

import resource
import socket
import struct
import time

from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from scoreboard.board import row
from scoreboard.checker import Index, commits_are_safe
from scoreboard.logs import Caps
from scoreboard.rows_loss import many
from scoreboard.scene import Fed, Figures, Scene, percentile
from support import box
from support.broker import free_port
from support.endpoints import Behaviour
from support.kafka_log import ends
from support.load import RESET
from support.programs import Program
from support.proxy import OFFSET_COMMIT, PRODUCE, Fault, Rule
from support.wait import hold, until
from support.wire import exchange

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


@row("K2", "one of three brokers away", "CN", nodes=3, seconds=180, nightly=400)
def one_away(scene: Scene) -> None:
    many(scene, 24, concurrency=16)
    scene.ingest()
    scene.relay()
    scene.cluster.wait_full(prefix=scene.stack.prefix)
    rate, away = 400, (30.0 if scene.nightly else 8.0)
    broker = scene.cluster.broker
    fed = scene.feed(int(rate * 200), connections=1500, rate=rate)
    until(lambda: fed.load.statuses()[202] > rate, 20, "load runs")
    for way in ("SIGTERM", "SIGKILL") if scene.nightly else ("SIGKILL",):
        node = scene.rng.choice(broker.nodes)
        led = broker.controller() == node.number
        gone = judged_from = time.monotonic()
        if way == "SIGTERM":
            node.stop()
        else:
            node.kill()
            # Its session of 3 s is over then; where it was the controller, the others elect one
            # first, and the sessions begin anew there.
            scene.cluster.wait_without(node, scene.stack.prefix)
            fenced = time.monotonic()
            what = "the controller" if led else "a node"
            scene.note(f"{what} fenced after {fenced - gone:.1f} s")
            judged_from = fenced + 3.0
        hold(away)
        until_now = time.monotonic() - 1.0
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


@row("K3", "acknowledgement lost after the broker gave it, 100 times", "N", nodes=3, nightly=300)
def lost_acks(scene: Scene) -> None:
    scene.behind_proxy()
    scene.config["kafka"]["socket.timeout.ms"] = 3000
    many(scene, 8, concurrency=16)
    ingest = scene.ingest()
    scene.relay()
    proxy, broker = scene.cluster.proxy, scene.cluster.broker
    scene.cluster.wait_full(prefix=scene.stack.prefix)
    fed = scene.feed(40_000, connections=200, rate=400)
    hits = 0
    for turn in range(100):
        front = scene.rng.randrange(3)
        action = "reset" if turn % 5 else "hold"  # held longer than the socket's timeout
        proxy.rule(Rule(PRODUCE, action, times=1), front)
        hold(scene.rng.uniform(0.1, 0.4) if action == "reset" else 3.5)
        if action == "hold":
            hits += proxy.hits()
            proxy.heal()
    hits += proxy.hits()
    proxy.heal()
    before = ingest.metric("eventrelay_kafka_producer_epoch_bumps_total")
    scene.note(f"leader stays, epoch bumps {before:g}")
    # The leader moves before the retry.
    for _ in range(3):
        node = scene.rng.choice(broker.nodes)
        proxy.rule(Rule(PRODUCE, "hold", times=1), broker.nodes.index(node))
        hold(0.5)
        node.stop()
        proxy.heal()
        hold(2.0)
        broker.restart()
        scene.cluster.wait_full()
    fed.load.stop()
    fed.finish(60)
    bumps = ingest.metric("eventrelay_kafka_producer_epoch_bumps_total") - before
    scene.note(f"leader moved, epoch bumps {bumps:g}; answers lost {hits}")
    scene.note(f"answers {dict(sorted(fed.load.statuses().items()))}")
    scene.settle(90)
    scene.judge()


@row("K4", "retriable errors by real causes: leader, follower, coordinator", "N", 3, 0, 240)
def real_causes(scene: Scene) -> None:
    many(scene, 8, concurrency=16)
    ingest, relay = scene.ingest(), scene.relay()
    scene.cluster.wait_full(prefix=scene.stack.prefix)
    broker = scene.cluster.broker
    rate = 200
    fed = scene.feed(rate * 200, connections=1000, rate=rate)
    slowest = 0.0
    for cause in ("leader", "follower", "coordinator"):
        leaders = list(scene.cluster.leaders(scene.stack.events).values())
        busiest = max(set(leaders), key=leaders.count)
        node = broker.nodes[(busiest - 1 + (cause == "follower")) % 3]
        if cause == "follower":
            node.pause()
            hold(6.0)
            node.resume()
        else:
            node.stop()
            hold(4.0)
            broker.restart()
        scene.cluster.wait_full()
        ended = time.monotonic()
        back = until(lambda t=ended: first_status(fed, 202, t), 30, "a 202 again")
        slowest = max(slowest, back - ended)
        before = scene.endpoints.taken()
        scene.endpoints.wait_taken(before + 50, 30)
        slowest = max(slowest, time.monotonic() - ended - 50 / rate)
    fed.load.stop()
    fed.finish(60)
    scene.at_most("slowest recovery", slowest, 5, " s")
    scene.check(ingest.alive() and relay.alive(), "both live")
    scene.settle(90)
    scene.judge()


@row("K5", "a record that its topic refuses", "C", seconds=60)
def refused_record(scene: Scene) -> None:
    scene.config["retry"] = {"delays": ["300ms"]}
    many(scene, 4)
    ingest = scene.ingest()
    scene.relay()
    scene.pour(20)
    alter(scene, "events", {"max.message.bytes": "30000"})
    hold(1.0)
    small = scene.feed(400, connections=8, rate=200, again=frozenset({503}))
    raw = box.body(10**6).replace(b"x" * 300, b"x" * 200_000)
    statuses = []
    for _ in range(20):
        found = exchange(scene.port, box.v2_request(1001, raw))
        statuses += [reply.status for reply in found.replies]
    small.finish(30)
    scene.check(set(statuses) == {413}, f"answers to the big one {sorted(set(statuses))}", "413")
    # One that shares a batch with it may be told to come again, never that it is too large itself.
    others = small.load.statuses()
    scene.exactly("others refused", sum(n for s, n in others.items() if s not in (202, 503)), 0)
    scene.note(f"others told to come again {others[503]}")
    metric = ingest.metric('eventrelay_ingest_produce_errors_total{reason="too_large"}')
    scene.at_least("metric", metric, 5)
    scene.settle()
    scene.judge()


@row("K6", "fatal error of the idempotent producer (embedded broker)", "C", nodes=0, seconds=60)
def fatal_producer(figures: Figures) -> None:
    case = "ProducerClientTest.FailsAllWaitingAndRebuildsAfterAFatalError"
    said = figures.program("tests/component_kafka", f"--gtest_filter={case}")
    figures.exactly("cases", said.count("[       OK ]"), 1)


@row("K7", "rebalance storm: a worker comes or goes every 5 s", "N", 1, 0, 700)
def storm(scene: Scene) -> None:
    seconds, rate, window = 300, 500, 128
    many(scene, 24, concurrency=16)
    scene.config["relay"]["inflight_max"] = window
    scene.config["kafka"]["session.timeout.ms"] = 6000
    scene.ingest()
    workers = [scene.relay()]
    fed = scene.feed(rate * seconds, connections=32, rate=rate)
    begin, changes = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        if len(workers) < 3 and (len(workers) == 1 or scene.rng.random() < 0.5):
            changes += 1
            workers.append(scene.relay(ready=False).wait_ready())
        else:
            changes += 1
            scene.end(workers.pop(scene.rng.randrange(len(workers))))
        hold(5.0)
    fed.finish(60)
    scene.settle()
    logs = scene.judge(doubles=changes * window)
    at = sorted(g.at for g in logs.got)
    scene.note(f"{changes} changes")
    per_sub: dict[str, list[float]] = {}
    for got in logs.got:
        per_sub.setdefault(got.sub, []).append(got.at)
    idle = max(b - a for times in per_sub.values() for a, b in zip(times, times[1:]))
    scene.at_most("longest idle", idle, 15, " s")
    assert at


@row("K8", "commits unanswered for 30 s, then a revocation", "N", 1, 0, 180)
def commits_unanswered(scene: Scene) -> None:
    rate, window, away = 500, 128, 30.0
    scene.behind_proxy()
    many(scene, 16, concurrency=16)
    scene.config["relay"]["inflight_max"] = window
    scene.config["kafka"]["session.timeout.ms"] = 10_000
    scene.ingest()
    scene.relay()
    fed = scene.feed(rate * 60, connections=32, rate=rate)
    scene.endpoints.wait_taken(rate * 2, 30)
    scene.cluster.proxy.rule(Rule(OFFSET_COMMIT, "drop"))
    before = scene.endpoints.taken()
    hold(away)
    during = scene.endpoints.taken() - before
    scene.at_least("delivered meanwhile", 100 * during / (rate * away), 90, " %")
    scene.relay()
    scene.cluster.proxy.heal()
    fed.finish(90)
    scene.settle()
    scene.judge(doubles=window + rate * (away + 10))


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


def p99(fed: Fed) -> float:
    """Seconds to a 202, without the first second."""
    begin = min(a.sent for a in fed.load.answers)
    taken = [a for a in fed.load.answers if a.status == 202 and a.sent > begin + 1.0]
    return percentile([a.seconds for a in taken], 0.99)


@row("K10", "slow broker, 500 ms round trip", "N", 1, 0, 120)
def slow_broker(scene: Scene) -> None:
    scene.behind_proxy()
    many(scene, 8, concurrency=16)
    ingest, relay = scene.ingest(), scene.relay()
    scene.pour(100)
    scene.cluster.proxy.fault(up=Fault(latency=0.25), down=Fault(latency=0.25))
    # The client has one request of a partition on its way and five on a connection: at this rate a
    # record waits for the answer to those before it, two to three round trips in all. Nobody is
    # refused for that.
    busy = scene.feed(3000, connections=800, rate=200).finish(60)
    scene.note(f"p99 at 200/s {p99(busy) * 1000:.0f} ms")
    scene.exactly("refused", 3000 - busy.load.statuses()[202], 0)
    # A record with nothing before it takes one round trip.
    alone = scene.feed(40, connections=1).finish(60)
    scene.at_most("p99 one by one", p99(alone) * 1000, 700, " ms")
    scene.exactly("refused", 40 - alone.load.statuses()[202], 0)
    scene.at_most("ingest", ingest.rss() / MIB, 150, " MiB")
    scene.at_most("relay", relay.rss() / MIB, 150, " MiB")
    scene.cluster.proxy.heal()
    scene.settle()
    scene.judge()


def alter(scene: Scene, topic: str, settings: dict[str, str]) -> None:
    """Sets exactly these settings of a topic."""
    admin = AdminClient({"bootstrap.servers": scene.stack.broker.bootstrap, "log_level": 0})
    resource = ConfigResource(ConfigResource.Type.TOPIC, scene.stack.prefix + topic, settings)
    for future in admin.alter_configs([resource]).values():
        future.result(20)


def two_copies(scene: Scene, topic: str, settings: dict[str, str]) -> None:
    """Makes a topic with copies on nodes 1 and 2 only, both needed for a write."""
    admin = AdminClient({"bootstrap.servers": scene.stack.broker.bootstrap, "log_level": 0})
    made = NewTopic(
        scene.stack.prefix + topic,
        scene.config["topics"]["partitions"],
        replica_assignment=[[1, 2]] * scene.config["topics"]["partitions"],
        config={"min.insync.replicas": "2"} | settings,
    )
    for future in admin.create_topics([made]).values():
        future.result(20)


@row("K11", "dead-letter topic unwritable", "CN", nodes=3, seconds=120, nightly=240)
def dead_unwritable(scene: Scene) -> None:
    away = 60.0 if scene.nightly else 8.0
    two_copies(scene, "dead", {})
    scene.subscriber(1, fatal_statuses=[422], concurrency=4)
    many(scene, 3)
    scene.endpoints.set("/s/1", Behaviour(status=422))
    scene.ingest()
    relay = scene.relay()
    scene.cluster.wait_full(prefix=scene.stack.prefix)
    scene.pour(200)
    node = scene.cluster.broker.nodes[1]
    node.stop()
    fed = scene.feed(int(50 * away), connections=100, rate=50, again=frozenset({503}))
    hold(away, relay.alive, "the relay lives")
    meanwhile = scene.logs()
    passed = commits_are_safe(meanwhile, Index(meanwhile))
    scene.findings += [str(finding) for finding in passed]
    scene.exactly("commits past it", len(passed), 0)
    node.launch()
    scene.cluster.broker.wait_ready()
    scene.cluster.wait_full()
    fed.finish(60)
    scene.settle(90)
    logs = scene.judge(caps={"relay": Caps(rss=150 * MIB)})
    mine = {r.id for r in logs.events if r.headers["er-instance"] == "1"}
    scene.exactly("dead letters", len({r.id for r in logs.dead}), len(mine))
    scene.exactly("dead letters twice", len(logs.dead) - len({r.id for r in logs.dead}), 0)


@row("K12", "no room for logs of ours, then for those of one node", "N", 3, 0, 150)
def full_disk(scene: Scene) -> None:
    many(scene, 24, concurrency=16)
    # What these two write to their log is thrown away.
    ports = {kind: free_port() for kind in ("ingest", "relay")}
    both = []
    for kind, port in ports.items():
        where = ["--set", f"admin.listen=127.0.0.1:{port}", "--set", "log.level=debug"]
        one = scene.stack.start(kind, *where, ready=False, log_to="/dev/full")
        one._ready = {"admin": f"127.0.0.1:{port}"}
        both.append(one)
    for one in both:
        until(lambda o=one: _answers(o) == 200, 30, f"{one.name} is ready")
    scene.cluster.wait_full(prefix=scene.stack.prefix)
    rate, away = 300, 15.0
    fed = scene.feed(rate * 120, connections=1000, rate=rate)
    until(lambda: fed.load.statuses()[202] > rate, 20, "load runs")
    for one in both:
        one.reload()  # a line for each of them
    # The node can make no file longer than this: its only log directory fails, and it halts.
    node = scene.rng.choice(scene.cluster.broker.nodes)
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (200_000, 200_000))
    until(lambda: not node.alive(), 40, "the node halts", pause=0.1)
    gone = time.monotonic()
    node.process.wait()
    node.process = None
    hold(away, lambda: all(one.alive() for one in both), "both live")
    begin, end = gone + 3.5 + 3.0, gone + away - 1.0
    taken = sum(a.status == 202 for a in fed.load.answers if begin <= a.sent <= end)
    scene.at_least("2xx without the node", 100 * taken / (rate * (end - begin)), 95, " %")
    scene.cluster.heal()
    fed.load.stop()
    fed.finish(60)
    scene.settle(90)
    scene.judge()


def _answers(program: Program) -> int:
    try:
        return program.get("/readyz")[0]
    except OSError:
        return 0


@row("K13", "256 file descriptors", "N", 1, 0, 90)
def few_files(scene: Scene) -> None:
    many(scene, 4)
    ingest, relay = scene.ingest(), scene.relay()
    for program in (ingest, relay):
        resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (256, 256))
    peers = []
    try:
        for _ in range(600):
            peers.append(socket.create_connection(("127.0.0.1", scene.port), 5))
    except OSError:
        pass
    hold(2.0, lambda: ingest.alive() and relay.alive(), "both live")
    for peer in peers:
        peer.close()
    fed = scene.pour(2000)
    scene.note(f"{len(peers)} connections asked for, answers {dict(fed.load.statuses())}")
    scene.settle()
    scene.judge(caps={"ingest": Caps(fds=256), "relay": Caps(fds=256)})


@row("K14", "ten joins and leaves beside an endpoint that hangs", "CN", 1, 120, 240)
def joins_beside_a_hang(scene: Scene) -> None:
    rate, changes, slots = 400, 10, 16
    scene.subscriber(1, concurrency=slots)
    many(scene, 19, concurrency=slots)
    healthy = list(range(1001, 1020))
    scene.config["kafka"]["session.timeout.ms"] = 6000
    scene.ingest()
    workers = [scene.relay()]
    scene.endpoints.set("/s/1", Behaviour(hang="head"))
    fed = scene.feed(rate * 90, [1, *healthy], connections=32, rate=rate)
    scene.endpoints.wait_taken(rate * 2, 30)
    begun = time.time()
    slowest = 0.0
    for turn in range(changes):
        if turn % 2 == 0:
            workers.append(scene.relay(ready=False).wait_ready())
        else:
            slowest = max(slowest, scene.end(workers.pop(0))[1])
        hold(2.0)
    ended = time.time()
    fed.load.stop()
    fed.finish(60)
    scene.endpoints.set("/s/1", None)
    scene.settle(120)
    # Only what was not answered may come twice, and no more of it than was under way at a change.
    logs = scene.judge(doubles=changes * slots)
    seen: dict[str, set[str]] = {}
    times: dict[str, list[float]] = {}
    again = 0
    for got in logs.got:
        if got.sub == "1":
            continue
        events = seen.setdefault(got.sub, set())
        again += got.event in events
        events.add(got.event)
        if begun <= got.at <= ended:
            times.setdefault(got.sub, []).append(got.at)
    gaps = [b - a for one in times.values() for a, b in zip(sorted(one), sorted(one)[1:])]
    scene.exactly("doubles of who answers", again, 0)
    # A worker learns of a change with its next heartbeat, up to 0.5 s later. What it then has in
    # flight at the endpoint that hangs is older than a second but for what has just been tried.
    scene.at_most("longest silence of who answers", max(gaps), 1.5, " s")
    scene.at_most("slowest leave", slowest, 1.5, " s")
