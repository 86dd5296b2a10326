"""Loss, duplicates, crashes: rows R1 to R12."""

from __future__ import annotations

import re
import signal
import subprocess
import time

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from scoreboard.board import row
from scoreboard.scene import COMMIT_SECONDS, Figures, Scene
from support.endpoints import Behaviour
from support.kafka_log import open_reader, topics
from support.load import RESET
from support.programs import ROOT, Program
from support.wait import hold, until


def many(scene: Scene, count: int, **delivery) -> None:
    for number in range(1001, 1001 + count):
        scene.subscriber(number, **delivery)


@row("R1", "steady load, 64 partitions, 3 subscribers each", "CN", seconds=90, nightly=900)
def steady(scene: Scene) -> None:
    count = 200_000 if scene.nightly else 12_000
    scene.config["topics"]["partitions"] = 64
    for number in range(1001, 1033):
        scene.subscriber(number, concurrency=32)
        scene.also(number, "audit", concurrency=32)
        scene.also(number, "copy", concurrency=32)
    scene.ingest()
    relay = scene.relay()
    scene.pour(640, range(1001, 1033))  # a broker is slow while it makes some hundred partitions
    rate = None if scene.nightly else 1000
    fed = scene.feed(count, range(1001, 1033), connections=64, rate=rate).finish(600)
    scene.exactly("rejected", count - fed.load.statuses()[202], 0)
    scene.endpoints.wait_taken(3 * (count + 640), 600)
    scene.settle()
    ok = relay.metric('eventrelay_relay_deliveries_total{outcome="ok"}')
    scene.counters = {"consumed": 3 * (count + 640), "delivered": ok}
    scene.note(f"{count / fed.load.seconds:.0f}/s in")
    scene.judge()


def worker(scene: Scene, number: int, *arguments: str, **options) -> Program:
    """A relay with an identity that survives its process."""
    identity = f"kafka.group.instance.id=worker-{number}"
    return scene.relay("--set", identity, *arguments, **options)


def fail_at(name: str, nth: int = 1, action: str = "kill") -> dict[str, str]:
    return {"EVENTRELAY_FAILPOINT": f"{name}:{nth}:{action}"}


@row("R2", "SIGKILL of relay under 2,000 events/s, 2 workers", "CN", seconds=150, nightly=600)
def kill_relay(scene: Scene) -> None:
    kills, rate, window = (50 if scene.nightly else 10), 2000, 128
    many(scene, 16, concurrency=16)
    scene.config["relay"]["inflight_max"] = window
    scene.config["kafka"]["session.timeout.ms"] = 6000
    scene.ingest()
    workers = [worker(scene, n) for n in range(2)]
    fed = scene.feed(rate * kills * 3, connections=32, rate=rate)
    for turn in range(kills):
        place = turn % 2
        hold(scene.rng.uniform(0.7, 1.4))
        before = scene.endpoints.taken()
        scene.kill(workers[place])
        workers[place] = worker(scene, place, ready=False).wait_ready()
        scene.endpoints.wait_taken(before + rate // 4, 30)
    fed.load.stop()
    fed.finish(30)
    scene.note(f"{kills} kills, {len(fed.load.answers)} events")
    scene.at_most("settled after", scene.settle(60), 30, " s")
    scene.judge(doubles=kills * (window + rate * COMMIT_SECONDS))


@row("R13", "SIGKILL of relay, with and without ranges in the commit metadata", "N", 1, 0, 400)
def kill_without_ranges(scene: Scene) -> None:
    """One endpoint of 17 needs 2 s for an answer, so its event holds the offset of its partition
    while thousands behind it are delivered. Before every other start the harness commits the same
    offsets again, with nothing in the metadata. Named alone: 4 kills of each kind."""
    kills, rate, window = (10 if scene.nightly else 4), 2000, 128
    many(scene, 16, concurrency=16)
    scene.subscriber(1, concurrency=16)
    scene.endpoints.set("/s/1", Behaviour(delay=2.0))
    scene.config["relay"]["inflight_max"] = window
    scene.config["kafka"] |= {"session.timeout.ms": 1500, "heartbeat.interval.ms": 400}
    scene.ingest()
    relay = scene.relay()
    # Four a second for the slow one.
    where = [n for n in range(1001, 1017) for _ in range(31)] + [1]
    scene.rng.shuffle(where)
    fed = scene.feed(rate * kills * 16, where, late=True, connections=32, rate=rate)
    died: list[tuple[float, bool]] = []
    for turn in range(2 * kills):
        hold(2.0 + scene.rng.uniform(0.7, 1.4))
        scene.kill(relay)
        died.append((time.time(), turn % 2 == 1))
        wait_empty(scene)
        if turn % 2:
            wipe_metadata(scene)
        before = scene.endpoints.taken()
        relay = scene.relay()
        scene.endpoints.wait_taken(before + rate, 30)
    fed.load.stop()
    fed.finish(30)
    scene.endpoints.set("/s/1", None)
    scene.at_most("settled after", scene.settle(60), 30, " s")
    allowed = kills * (window + rate * COMMIT_SECONDS)
    logs = scene.judge(doubles=None)
    # Whoever has not caught up yet sends again what an earlier kill has made it forget: a double is
    # of a kill without ranges if there was one since the event was delivered last.
    doubles = {False: 0, True: 0}
    seen: dict[tuple[str, str], float] = {}
    for got in sorted(logs.got, key=lambda one: one.at):
        if not 200 <= got.status < 300:
            continue
        last = seen.get((got.event, got.sub))
        if last is not None:
            doubles[any(wiped for at, wiped in died if last < at < got.at)] += 1
        seen[(got.event, got.sub)] = got.at
    scene.note(f"{kills} kills of each kind, {len(fed.load.answers)} events")
    scene.at_most("doubles with ranges", doubles[False], allowed)
    scene.check(
        doubles[True] > doubles[False], f"without {doubles[True]}", "more than with them"
    )


def wait_empty(scene: Scene) -> None:
    """Until the group has noticed that its only member is gone."""
    admin = AdminClient({"bootstrap.servers": scene.stack.broker.bootstrap, "log_level": 0})
    until(
        lambda: any(
            group.state == "Empty" for group in admin.list_groups(scene.stack.group, timeout=10)
        ),
        20, "the group is empty", pause=0.1,
    )


def wipe_metadata(scene: Scene) -> None:
    """Commits the same offsets of `events` again, as a relay that knows no ranges would have."""
    bootstrap, topic = scene.stack.broker.bootstrap, scene.stack.events
    client = open_reader(bootstrap, scene.stack.group)
    try:
        places = [TopicPartition(topic, n) for n in range(topics(bootstrap, topic)[topic])]
        there = [one for one in client.committed(places, timeout=10) if one.offset >= 0]
        done = client.commit(
            offsets=[TopicPartition(topic, one.partition, one.offset) for one in there],
            asynchronous=False,
        )
        assert all(one.error is None for one in done), done
    finally:
        client.close()


@row("R3", "SIGKILL of ingest under 5,000 requests/s", "CN", seconds=90, nightly=400)
def kill_ingest(scene: Scene) -> None:
    kills, rate = (50 if scene.nightly else 10), 5000
    many(scene, 16)
    ingest = scene.ingest()
    fed = scene.feed(4000 * kills, connections=64, rate=rate)
    for _ in range(kills):
        before = scene.accepted()
        until(lambda b=before: scene.accepted() > b + 500, 20, "load goes on")
        hold(scene.rng.uniform(0.0, 0.3))
        scene.kill(ingest)
        ingest = scene.ingest(ready=False).wait_ready()
    fed.load.stop()
    fed.finish(60)
    statuses = fed.load.statuses()
    scene.note(f"{kills} kills, answers {dict(sorted(statuses.items()))}")
    logs = scene.judge(doubles=None, all_done=False)
    unanswered = len({r.id for r in logs.events}) - len({i for a in logs.answers for i in a.ids})
    scene.note(f"logged without a 2xx {unanswered}")


@row("R4", "SIGKILL of relay, ingest and a broker node each 10 s", "N", 3, 0, 1000)
def kill_everything(scene: Scene) -> None:
    """Named alone: two minutes."""
    seconds, rate, window = (600 if scene.nightly else 120), 500, 128
    many(scene, 16, concurrency=16)
    scene.config["relay"]["inflight_max"] = window
    scene.config["kafka"]["session.timeout.ms"] = 6000
    broker = scene.cluster.broker
    ingest = scene.ingest()
    workers = [worker(scene, n) for n in range(2)]
    scene.cluster.wait_full(prefix=scene.stack.prefix)
    fed = scene.feed(rate * seconds, late=True, connections=200, rate=rate)
    begin, kills, nodes = time.monotonic(), 0, 0
    while time.monotonic() - begin < seconds:
        scene.kill(workers[kills % 2])
        workers[kills % 2] = worker(scene, kills % 2, ready=False)
        kills += 1
        hold(scene.rng.uniform(2, 4))
        scene.kill(ingest)
        ingest = scene.ingest(ready=False)
        hold(scene.rng.uniform(1, 3))
        scene.rng.choice(broker.nodes).kill()
        hold(scene.rng.uniform(2, 5))
        broker.restart()
        scene.cluster.wait_full()
        nodes += 1
    fed.load.stop()
    fed.finish(120)
    for one in workers:
        one.wait_ready(60)
    scene.note(f"{kills} kills of relay and ingest, {nodes} of nodes")
    scene.note(f"answers {dict(sorted(fed.load.statuses().items()))}")
    scene.settle(120)
    bumps = ingest.wait_ready().metric("eventrelay_kafka_producer_epoch_bumps_total")
    scene.note(f"epoch bumps since the last kill {bumps:g}")
    scene.judge(doubles=kills * (window + rate * COMMIT_SECONDS))


@row("R5", "SIGTERM of relay under load, rolling, 3 workers", "CN", seconds=150, nightly=500)
def end_relay(scene: Scene) -> None:
    rate, turns = 1500, (20 if scene.nightly else 5)
    many(scene, 24, concurrency=16)
    scene.config["kafka"]["session.timeout.ms"] = 6000
    scene.ingest()
    slowest = 0.0
    for way in ("dynamic", "static") if scene.nightly else ("dynamic",):
        start = (lambda n: worker(scene, n)) if way == "static" else (lambda n: scene.relay())
        workers = [start(n) for n in range(3)]
        fed = scene.feed(rate * turns * 6, connections=32, rate=rate)
        for turn in range(turns):
            before = scene.endpoints.taken()
            scene.endpoints.wait_taken(before + rate // 2, 60)
            code, seconds = scene.end(workers[turn % 3])
            scene.check(code == 0, f"exit {code}", "0")
            slowest = max(slowest, seconds)
            workers[turn % 3] = start(turn % 3)
        fed.load.stop()
        fed.finish(60)
        scene.settle()
        for one in workers:
            scene.end(one)
    scene.at_most("slowest end", slowest, 10, " s")
    scene.judge()


@row("R6", "SIGTERM of ingest under load, new connections keep coming", "C", seconds=90)
def end_ingest(scene: Scene) -> None:
    many(scene, 8, concurrency=16)
    scene.config["ingest"]["drain_delay"] = "1s"
    ingest = scene.ingest()
    scene.relay()
    again = frozenset({503})
    kept = scene.feed(9000, connections=16, rate=600, again=again)
    fresh = scene.feed(9000, connections=16, rate=600, again=again, reconnect=True)
    slowest, early = 0.0, 0
    for turn in range(1, 4):
        until(lambda t=turn: len(kept.load.answers) >= t * 1000, 60, "load goes on")
        scene.wanted_ends.add(ingest.pid)
        refused = fresh.load.refused
        ingest.process.terminate()
        hold(0.8)
        early += fresh.load.refused - refused  # the drain delay of 1 s is not over
        begin = time.monotonic()
        code = ingest.process.wait(20)
        scene.check(code == 0, f"exit {code}", "0")
        slowest = max(slowest, time.monotonic() - begin + 0.8)
        ingest = scene.ingest()
    for fed in (kept, fresh):
        fed.load.stop()
        fed.finish(60)
    statuses = kept.load.statuses() + fresh.load.statuses()
    scene.at_most("slowest end", slowest, 15, " s")
    scene.exactly("refused before the drain delay", early, 0)
    scene.exactly("reset", statuses[RESET], 0)
    scene.exactly("other answers", sum(n for s, n in statuses.items() if s not in (202, 503)), 0)
    scene.settle()
    scene.judge()


@row("R7", "SIGSTOP of relay past its session, then SIGCONT", "N", seconds=0, nightly=120)
def zombie(scene: Scene) -> None:
    rate, window = 1000, 128
    many(scene, 16, concurrency=16)
    scene.config["relay"]["inflight_max"] = window
    scene.config["kafka"]["session.timeout.ms"] = 6000
    scene.ingest()
    workers = [scene.relay(), scene.relay()]
    scene.feed(rate * 45, connections=32, rate=rate)
    scene.endpoints.wait_taken(3 * rate, 30)
    workers[0].signal(signal.SIGSTOP)
    hold(15.0)
    workers[0].signal(signal.SIGCONT)
    scene.fed[0].finish(90)
    scene.settle()
    scene.check(all(one.alive() for one in workers), "both live")
    scene.judge(doubles=window + rate * COMMIT_SECONDS)


POINTS = ("after-consume", "after-connect", "after-send", "before-mark", "mid-commit")
POINTS += ("before-park", "after-park-ack", "before-dead")


@row("R8", "SIGKILL at each failpoint of the live path", "CN", seconds=150, nightly=400)
def kill_at_points(scene: Scene) -> None:
    times, window = (5 if scene.nightly else 1), 32
    scene.config["retry"] = {"delays": ["200ms", "500ms", "1s"]}
    scene.config["relay"]["inflight_max"] = window
    for number in (1, 2):
        scene.subscriber(number, concurrency=8)
    scene.subscriber(3, concurrency=8, fatal_statuses=[422])
    scene.endpoints.set("/s/2", Behaviour(per_event=[503]))
    scene.endpoints.set("/s/3", Behaviour(only={"object-7": 422}))
    scene.ingest()
    hits = 0
    for _ in range(times):
        for name in POINTS:
            point = fail_at(name, scene.rng.randint(1, 5))
            relay = worker(scene, 0, env=point, ready=False)
            scene.wanted_ends.add(relay.pid)
            scene.feed(
                150,
                connections=8,
                rate=300,
                again=frozenset({503}),
                object_of=lambda n: f"object-{n // 3 % 10}",
            ).finish(30)
            try:
                until(lambda one=relay: not one.alive(), 6.0, f"killed at {name}")
                hits += 1
            except AssertionError:
                scene.findings.append(f"{name} was not reached")
            scene.kill(relay)
    worker(scene, 0)
    # Each event's first attempt fails there, so a probe would fail as well, again and again.
    scene.endpoints.set("/s/2", None)
    scene.settle()
    scene.exactly("points reached", hits, len(POINTS) * times)
    # Repeated are events in flight when it died and those delivered since the last commit; the
    # cursor of a detached subscription is written each second.
    scene.judge(doubles=len(POINTS) * times * (window + 300 * (COMMIT_SECONDS + 1)))


@row("R9", "double SIGTERM, SIGTERM during start, SIGTERM with the broker down", "C", seconds=120)
def ends(scene: Scene) -> None:
    many(scene, 4)
    drain = 3.0
    scene.config["relay"]["drain_timeout"] = f"{drain:g}s"
    scene.config["ingest"]["drain_delay"] = "2s"
    slowest = {"ingest": 0.0, "relay": 0.0}
    codes = set()

    def note(program: Program, seconds: float = 20) -> None:
        code, took = scene.end(program, seconds)
        kind = program.name.removeprefix("eventrelay-")
        slowest[kind] = max(slowest[kind], took)
        codes.add(code)

    # While it starts: at moments spread over the first 200 ms.
    for moment in (0.0, 0.01, 0.03, 0.06, 0.1, 0.2):
        for kind in ("ingest", "relay"):
            program = scene.stack.start(kind, ready=False)
            hold(moment)
            note(program)
    # Twice: the second one ends the waiting.
    for kind in ("ingest", "relay"):
        program = scene.stack.start(kind)
        program.process.terminate()
        hold(0.1)
        note(program)
    # With the broker gone, under load.
    ingest, relay = scene.ingest(), scene.relay()
    fed = scene.feed(2000, connections=16, rate=500)
    until(lambda: len(fed.load.answers) > 300, 20, "load runs")
    scene.cluster.broker.kill()
    hold(0.5)
    note(relay)
    note(ingest)
    fed.load.stop()
    fed.load.join(10)
    scene.cluster.broker.restart()
    scene.at_most("slowest ingest", slowest["ingest"], 2 + 5 + 1.5, " s")
    # After the drain: at most 5 s for the last commit and for leaving the group, 1 s for clients.
    scene.at_most("slowest relay", slowest["relay"], drain + 5 + 1.5, " s")
    known = {-signal.SIGTERM, 0, 1}
    scene.check(codes <= known, f"codes {sorted(codes)}", "0, 1, or -15 before it could listen")
    scene.judge(doubles=None, all_done=False)


@row("R10", "random schedules of the ledger over many owners", "C", nodes=0, seconds=60)
def ledger_schedules(figures: Figures) -> None:
    said = figures.program("tests/unit_relay", "--gtest_filter=OffsetLedgerProperty.*")
    figures.at_least("properties", said.count("[       OK ]"), 1)


@row("R11", "spin model; in each run ./test models", "N", nodes=0, nightly=600)
def spin_model(figures: Figures) -> None:
    """The tier `models`, counted here."""
    command = ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "tests/models"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    passed = re.search(r"(\d+) passed", done.stdout)
    figures.check(done.returncode == 0, f"{passed.group(1) if passed else 0} cases passed", "all")
    if done.returncode:
        figures.findings.append(done.stdout[-2000:])


@row("R12", "simulation of the relay in virtual time", "CN", nodes=0, seconds=120, nightly=1800)
def simulation(figures: Figures) -> None:
    """400 seeds, at night 10,000, besides planted faults and same seed, same trace."""
    said = figures.program("tests/simulation_relay", seconds=1800)
    figures.at_least("cases", said.count("[       OK ]"), 10)
    if seeds := re.search(r"(\d+) seeds in", said):
        figures.at_least("seeds", int(seeds.group(1)), 10_000 if figures.nightly else 400)
