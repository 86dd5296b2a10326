"""Memory, overload, reloads, soak: rows M1 to M7."""

from __future__ import annotations

import time

from scoreboard.board import not_built, row
from scoreboard.logs import Caps
from scoreboard.rows_loss import many, worker
from scoreboard.scene import COMMIT_SECONDS, Scene, percentile
from support.endpoints import Behaviour
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


@row("M3", "soak with faults by chance every 20 to 40 s, 10 minutes", "N", nodes=3, nightly=1000)
def soak(scene: Scene) -> None:
    seconds, rate, window = 600, 400, 128
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
    scene.feed(
        rate * seconds,
        connections=400,
        rate=rate,
        again=frozenset({503}),
        object_of=lambda n: f"object-{n // 17 % 20}",
    )
    begin, kills, made = time.monotonic(), 0, []
    while time.monotonic() - begin < seconds - 40:
        hold(scene.rng.uniform(20, 40), ingest.alive, "ingest lives")
        kind = scene.rng.choice(["node", "relay", "proxy", "endpoint", "object"])
        made.append(kind)
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
    scene.fed[0].finish(300)
    scene.note(f"faults {len(made)}, kills {kills}")
    scene.settle(120)
    of_ingest = [s for s in scene.sampler.samples if s.program == "ingest"]
    late = [(s.at, s.rss) for s in of_ingest if s.at > of_ingest[0].at + seconds / 2]
    scene.at_most("slope of ingest", slope(late) * 3600 / MIB, 20, " MiB/h")
    fds = [s.fds for s in of_ingest]
    scene.note(f"files of ingest {fds[len(fds) // 4]} to {fds[-1]}")
    scene.judge(
        doubles=kills * (window + rate * COMMIT_SECONDS) + 50 * len(made),
        caps={"ingest": Caps(rss=150 * MIB), "relay": Caps(rss=200 * MIB)},
    )


@row("M6", "overload, three times what Kafka takes", "CN", seconds=120, nightly=240)
def overload(scene: Scene) -> None:
    seconds = 60 if scene.nightly else 8
    scene.behind_proxy()
    many(scene, 16)
    ingest = scene.ingest()
    scene.pour(200)
    # The way to Kafka is made so narrow that it, and not the load generator, sets the peak.
    scene.cluster.proxy.fault(up=Fault(bandwidth=1_500_000))
    closed = scene.feed(6000, connections=64).finish(60)
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
    scene.note(f"peak {peak:.0f}/s; p99 {taken * 1000:.0f} ms, at the peak {alone * 1000:.0f} ms")
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
