"""Memory, overload, reloads, soak: rows M1 to M7."""

from __future__ import annotations

import json
import time
from collections import Counter

from scoreboard.board import not_built, row
from scoreboard.logs import Caps, Logs
from scoreboard.rows_loss import many, worker
from scoreboard.scene import COMMIT_SECONDS, Scene, percentile
from support.endpoints import Behaviour
from support.programs import run
from support.proxy import Fault
from support.wait import hold, until

MIB = 1 << 20

not_built("M1", "address and undefined-behaviour sanitizers: ./test asan", "N")
not_built("M2", "thread sanitizer: ./test tsan", "N")


def slope(samples: list[tuple[float, int]]) -> float:
    """Bytes a second, by least squares."""
    count = len(samples)
    mean_x = sum(x for x, _ in samples) / count
    mean_y = sum(y for _, y in samples) / count
    across = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / across if across else 0.0


@row("M3", "soak with faults by chance every 20 to 40 s, 10 minutes", "N", 3, 0, 1000)
def soak(scene: Scene) -> None:
    """Named alone: two minutes."""
    seconds, rate, window = (600 if scene.nightly else 120), 400, 128
    scene.behind_proxy()
    scene.config["retry"] = {"delays": ["500ms", "2s", "5s", "15s"]}
    scene.config["relay"]["inflight_max"] = window
    scene.config["kafka"]["session.timeout.ms"] = 6000
    many(scene, 16, concurrency=16)
    scene.subscriber(1, ordering="object")
    ingest = scene.ingest()
    workers = [worker(scene, n) for n in range(2)]
    cluster = scene.cluster
    cluster.wait_full(prefix=scene.stack.prefix)
    files = max(s.fds for s in scene.sampler.samples if s.program == "ingest")
    scene.feed(
        rate * seconds,
        late=True,
        connections=400,
        rate=rate,
        again=frozenset({503}),
        object_of=lambda n: f"object-{n // 17 % 20}",
    )
    begin, kills = time.monotonic(), 0
    made: list[tuple[str, float, float]] = []
    while time.monotonic() - begin < seconds - 40:
        hold(scene.rng.uniform(20, 40), ingest.alive, "ingest lives")
        kind = scene.rng.choice(["node", "relay", "proxy", "endpoint", "object"])
        since = time.time()
        if kind == "node":
            node = scene.rng.choice(cluster.broker.nodes)
            scene.rng.choice([node.stop, node.kill])()
            hold(5.0)
            cluster.broker.restart()
            cluster.wait_full()
        elif kind == "relay":
            kills += 1
            place = scene.rng.randrange(2)
            scene.kill(workers[place])
            workers[place] = worker(scene, place, ready=False)
        elif kind == "proxy":
            cluster.proxy.cut(reset=scene.rng.random() < 0.5)
        elif kind == "endpoint":
            number = scene.rng.randrange(1001, 1017)
            scene.endpoints.set(f"/s/{number}", Behaviour(status=503))
            hold(5.0)
            scene.endpoints.set(f"/s/{number}", None)
        else:
            scene.endpoints.set("/s/1", Behaviour(only={"object-3": 500}))
            hold(5.0)
            scene.endpoints.set("/s/1", None)
        made.append((kind, since, time.time()))
    scene.fed[0].finish(300)
    counts = Counter(kind for kind, _, _ in made)
    scene.note(f"{len(made)} faults {dict(sorted(counts.items()))}")
    scene.note(f"answers {dict(sorted(scene.fed[0].load.statuses().items()))}")
    scene.note(f"settled after {scene.settle(120):.1f} s")
    of_ingest = [s for s in scene.sampler.samples if s.program == "ingest"]
    late = [(s.at, s.rss) for s in of_ingest if s.at > of_ingest[0].at + seconds / 2]
    scene.note(f"slope of ingest, second half {slope(late) * 3600 / MIB:.1f} MiB/h")
    middle = len(late) // 2
    grown = percentile([r for _, r in late[middle:]], 0.5) - percentile(
        [r for _, r in late[:middle]], 0.5
    )
    scene.at_most("from its third to its last quarter", grown / MIB, 1, " MiB")
    scene.at_most(f"files of ingest, idle (at first {files})", of_ingest[-1].fds, files + 2)
    logs = scene.judge(
        doubles=kills * (window + rate * COMMIT_SECONDS) + 50 * len(made),
        caps={"ingest": Caps(rss=150 * MIB), "relay": Caps(rss=200 * MIB)},
    )
    first, second = calm_p99(logs, [(since, end) for _, since, end in made])
    scene.at_most(f"calm p99, second half (first {first:.1f} ms)", second, 1.2 * first + 5, " ms")


def calm_p99(logs: Logs, faults: list[tuple[float, float]]) -> tuple[float, float]:
    """p99 in ms from received to delivered, of what came 15 s after a fault or later and a second
    before the next one; of the first half of the time and of the second."""
    received = {r.id: int(r.headers["er-received"]) / 1000 for r in logs.events}
    begin, end = min(received.values()), max(received.values())
    times: tuple[list[float], list[float]] = ([], [])
    seen: set[tuple[str, str]] = set()
    for got in logs.got:
        if not 200 <= got.status < 300 or (got.event, got.sub) in seen or got.event not in received:
            continue
        seen.add((got.event, got.sub))
        at = received[got.event]
        if not any(since - 1 <= at <= past + 15 for since, past in faults):
            times[at > (begin + end) / 2].append(got.done - at)
    first, second = (percentile(found, 0.99) * 1000 for found in times)
    return first, second


@row("M6", "overload, three times what Kafka takes", "CN", seconds=120, nightly=240)
def overload(scene: Scene) -> None:
    seconds = 60 if scene.nightly else 8
    scene.behind_proxy()
    many(scene, 16)
    ingest = scene.ingest()
    scene.pour(200)
    # The way to Kafka is made so narrow that it, and not the load generator, sets the peak.
    scene.cluster.proxy.fault(up=Fault(bandwidth=1_500_000))
    # More at once give no more a second, only later answers.
    closed = scene.feed(6000, connections=256).finish(60)
    peak = closed.load.statuses()[202] / closed.load.seconds
    alone = percentile([a.seconds for a in closed.load.answers], 0.99)
    rate = 3 * peak
    fed = scene.feed(int(rate * seconds), connections=4000, rate=rate)
    fed.load.finish(seconds + 60)
    statuses = fed.load.statuses()
    goodput = statuses[202] / fed.load.seconds
    scene.at_least("goodput", 100 * goodput / peak, 90, " % of the peak")
    scene.exactly("other answers", sum(statuses.values()) - statuses[202] - statuses[503], 0)
    scene.at_least("refused", statuses[503], 1)
    calm = time.monotonic()
    after = scene.feed(1200, connections=32, rate=200).finish(30)
    late = [a.done for a in after.load.answers if a.status != 202]
    scene.at_most("recovery", max(late, default=calm) - calm, 5, " s")
    taken = percentile([a.seconds for a in fed.load.answers if a.status == 202], 0.99)
    scene.note(f"peak {peak:.0f}/s")
    scene.at_most("p99 of accepted", taken * 1000, 2 * alone * 1000, " ms, twice that at the peak")
    scene.at_most("ingest", max(s.rss for s in scene.sampler.samples) / MIB, 150, " MiB")
    scene.check(ingest.alive(), "ingest lives")
    scene.cluster.proxy.heal()
    scene.judge(doubles=None, all_done=False)


@row("M7", "1,000 reloads under load", "CN", seconds=90, nightly=300)
def reloads(scene: Scene) -> None:
    times = 1000 if scene.nightly else 40
    many(scene, 8)
    ingest, relay = scene.ingest(), scene.relay()
    scene.pour(800)
    fed = scene.feed(200_000, connections=16, rate=500)
    warm = {}
    for turn in range(times):
        if turn == min(50, times // 4):
            warm = {one.name: one.rss() for one in (ingest, relay)}
        scene.config["log"]["level"] = ("info", "warn")[turn % 2]
        scene.config["instances"][turn % 8]["name"] = f"renamed-{turn}"
        scene.stack.write()
        for one in (ingest, relay):
            assert one.get("/-/reload", "POST")[0] == 200
    hold(0.5)
    fed.load.stop()
    fed.finish(30)
    statuses = fed.load.statuses()
    scene.exactly("refused", len(fed.load.answers) - statuses[202], 0)
    grown = max(one.rss() - warm[one.name] for one in (ingest, relay))
    scene.at_most("memory grew", grown / MIB, 8, " MiB")
    until(lambda: relay.alive(), 1, "the relay lives")
    scene.settle()
    scene.judge()


@row("M8", "CPU of a delivery with every attempt in the log, beside failures alone", "N", 1, 0, 500)
def attempts_log(scene: Scene) -> None:
    """A backlog of records delivered, in turn with each; the median of the rounds. Named alone:
    fewer records."""
    records = 200_000 if scene.nightly else 60_000
    done = run(
        "eventrelay", "bench", "relay", "--kafka", scene.stack.broker.bootstrap, "--rounds", "3",
        "--records", str(records), "--compare", "relay.attempts_log=all", "--json", seconds=450,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    rows = json.loads(done.stdout)["rows"]
    costs = {
        name: sorted(r["cpu_us_per_event"] for r in rows if r["name"] == name)
        for name in ("relay", "compared")
    }
    middle = {name: found[len(found) // 2] for name, found in costs.items()}
    scene.exactly("rounds", min(len(found) for found in costs.values()), 3)
    scene.exactly("failed", sum(r["failed"] for r in rows), 0)
    scene.note(f"failures {middle['relay']:.2f} us {costs['relay']}")
    scene.note(f"all {middle['compared']:.2f} us {costs['compared']}")
    scene.note(f"+{100 * (middle['compared'] / middle['relay'] - 1):.1f} %")
