"""Delivery and isolation: rows D1 to D11."""

from __future__ import annotations

import threading
import time
from base64 import b64encode
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

from scoreboard.board import row
from scoreboard.checker import Index, doubles, settle
from scoreboard.logs import Caps, Got, Logs
from scoreboard.rows_loss import many
from scoreboard.scene import EVENT_ID, KEY, Scene, percentile
from support.broker import free_port
from support.endpoints import Behaviour
from support.programs import run
from support.proxy import Fault, Proxy
from support.shim import Shim
from support.wait import hold, until

MIB = 1 << 20


def ages(logs: Logs, first: int, past: int, without: frozenset[str]) -> list[float]:
    """From received to delivered, of the requests in [first, past), for all other subscriptions."""
    wanted = {i for a in logs.answers if first <= a.request < past for i in a.ids}
    received = {r.id: int(r.headers["er-received"]) / 1000 for r in logs.events if r.id in wanted}
    seen: dict[tuple[str, str], float] = {}
    for got in logs.got:
        if got.event in received and 200 <= got.status < 300 and got.sub not in without:
            seen.setdefault((got.event, got.sub), got.done - received[got.event])
    return list(seen.values())


@row("D1", "1 dead endpoint of 100", "C", seconds=120)
def one_dead(scene: Scene) -> None:
    rate, seconds = 1200, 4
    many(scene, 99, timeout="2s")
    scene.subscriber(1, port=scene.endpoints.full, timeout="2s")
    healthy = [n for n in range(1001, 1100)]
    scene.ingest()
    scene.relay()
    scene.pour(990, healthy)  # connections open, caches warm
    scene.endpoints.wait_taken(990, 30)
    spans: dict[bool, list[tuple[int, int]]] = {False: [], True: []}
    rates: dict[bool, list[float]] = {False: [], True: []}
    for sick in (False, True, False, True):
        count = rate * seconds
        where = healthy + [1] if sick else healthy
        before, begin = scene.endpoints.taken(), time.monotonic()
        fed = scene.feed(count, where, connections=32, rate=rate).finish(60)
        wanted = sum(1 for n in range(fed.first, fed.first + count) if where[n % len(where)] != 1)
        until(lambda b=before, w=wanted: scene.endpoints.taken() >= b + w, 60, "the others", 0.01)
        rates[sick].append(wanted / (time.monotonic() - begin))
        spans[sick].append((fed.first, fed.first + count))
    logs = scene.logs()
    base, with_dead = (
        [age for span in spans[sick] for age in ages(logs, *span, frozenset({"1"}))]
        for sick in (False, True)
    )
    share = 100 * sum(rates[True]) / sum(rates[False]) * 100 / 99
    scene.at_least("throughput of the others", share, 95, " %")
    p99, bound = (percentile(found, 0.99) * 1000 for found in (with_dead, base))
    scene.at_most(f"p99 (alone {bound:.1f} ms)", p99, 1.25 * bound + 5, " ms")


class Sockets(threading.Thread):
    """Most sockets to each of these ports that are connecting or connected, looked at by the
    kernel's table 20 times a second, at two looks in a row: one that is read while many are
    replaced at once shows both."""

    def __init__(self, ports: tuple[int, ...]):
        super().__init__(daemon=True)
        self.most = {port: 0 for port in ports}
        self._end = threading.Event()
        self._mine = {port: self.count(port) for port in ports}  # the ones that keep a queue full
        self.start()

    @staticmethod
    def count(port: int) -> int:
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        there = f"0100007F:{port:04X}"
        return sum(1 for line in lines if line[2] == there and line[3] in ("01", "02"))

    def run(self) -> None:
        before = dict.fromkeys(self.most, 0)
        while not self._end.wait(0.05):
            for port in self.most:
                there = self.count(port) - self._mine[port]
                self.most[port] = max(self.most[port], min(there, before[port]))
                before[port] = there

    def stop(self) -> dict[int, int]:
        self._end.set()
        self.join(5)
        return self.most


HANGS = ("connect", "tls", "head", "body")


@row("D2", "50 of 100 endpoints hang: connect, TLS, headers, body", "N", seconds=0, nightly=180)
def half_hang(scene: Scene) -> None:
    without, beside = hang(scene, 50, 4, "2s")
    scene.note(f"p99 {beside.p99:.1f} ms, without {without.p99:.1f} ms")


@row("D18", "100 of 150 endpoints hang with more than all slots of a shard", "CN", 1, 90, 180)
def more_hang_than_slots(scene: Scene) -> None:
    """100 x 16 are more than `relay.inflight_max`, 1024; the rest is as it comes."""
    without, beside = hang(scene, 100, 16, "15s", seconds=20 if scene.nightly else 6)
    scene.at_most(f"p99 (without {without.p99:.1f} ms)", beside.p99, 2 * without.p99 + 5, " ms")
    scene.at_most(f"longest (without {without.longest:.0f} ms)", beside.longest, 1500, " ms")


class Waits(NamedTuple):
    """Of the healthy ones, in ms."""

    p99: float  # but for the first second, in which hundreds of connections are opened
    longest: float


def hang(
    scene: Scene, ill: int, budget: int, timeout: str, seconds: int = 20
) -> tuple[Waits, Waits]:
    """The waits beside as many who answer, and beside the sick ones."""
    rate = 800
    points = scene.endpoints
    well = scene.more_endpoints()  # its own process: it must not wait for those who are taken in
    many(scene, 50, timeout="2s", port=well.port)
    for number in range(1, ill + 1):
        how = HANGS[number % 4]
        port = {"connect": points.full, "tls": points.hanging}.get(how)
        scheme = "https" if how == "tls" else "http"
        scene.subscriber(number, port=port, scheme=scheme, timeout=timeout, concurrency=budget)
        if how in ("head", "body"):
            points.set(f"/s/{number}", Behaviour(hang=how, status=500))
        scene.subscriber(5000 + number)  # who answers in its place at first
    healthy, sick = list(range(1001, 1051)), list(range(1, ill + 1))
    scene.ingest()
    relay = scene.relay()
    scene.pour(500, healthy)
    well.wait_taken(500, 30)
    spans: dict[bool, tuple[int, int, int]] = {}
    taken: dict[bool, float] = {}
    for with_sick in (False, True):
        # As many for the sick ones together as for the healthy ones.
        pairs = zip(healthy * (ill // 50), sick if with_sick else [5000 + n for n in sick])
        where = [n for pair in pairs for n in pair]
        count = rate * seconds * 2
        sockets = Sockets((points.full, points.hanging)) if with_sick else None
        before = sum(well.taken(f"/s/{n}") for n in healthy)
        fed = scene.feed(count, where, connections=32, rate=count / seconds).finish(120)
        hold(1.0)
        taken[with_sick] = sum(well.taken(f"/s/{n}") for n in healthy) - before
        if sockets is not None:
            most_there = sockets.stop()
        spans[with_sick] = (fed.first, fed.first + count // seconds, fed.first + count)
    scene.at_least("healthy", 100 * taken[True] / taken[False], 90, " %")
    most = max(points.open_most(f"/s/{n}") for n in sick)
    scene.at_most("in flight of one that hangs at head or body", most, budget)
    # An endpoint that hangs before it has read a request is counted by the kernel, all of a kind
    # together.
    for port, what in ((points.full, "connect"), (points.hanging, "tls")):
        kind = sum(1 for n in sick if HANGS[n % 4] == what)
        scene.at_most(f"of {kind} that hang at {what}", most_there[port], kind * budget)
    scene.at_most("relay", relay.rss() / MIB, 150, " MiB")
    logs, without = scene.logs(), frozenset(str(n + more) for n in sick for more in (0, 5000))
    alone, beside = (
        Waits(
            percentile(ages(logs, second, past, without), 0.99) * 1000,
            max(ages(logs, first, past, without)) * 1000,
        )
        for first, second, past in (spans[False], spans[True])
    )
    return alone, beside


@row("D3", "endpoint flaps", "CN", seconds=90, nightly=200)
def flaps(scene: Scene) -> None:
    up = down = 10.0 if scene.nightly else 2.0
    turns = 4
    scene.config["retry"] = {"delays": ["500ms", "1s", "2s", "5s", "10s", "20s"]}
    scene.subscriber(1, concurrency=8)
    many(scene, 3)
    scene.ingest()
    relay = scene.relay()
    scene.endpoints.set("/s/1", Behaviour(up=up, down=down))
    count = int(200 * (up + down) * turns)
    fed = scene.feed(count, connections=8, rate=200)
    opened = closed = 0
    was = 0.0
    while fed.load.is_alive():
        now = relay.metric("eventrelay_relay_circuits_open")
        opened, closed = opened + (now > was), closed + (now < was)
        was = now
        hold(0.1)
    fed.finish(30)
    scene.endpoints.set("/s/1", None)
    scene.settle(90)
    scene.at_least("breaker opened", opened, 1)
    scene.at_least("breaker closed", closed, 1)
    logs = scene.judge()
    attempts = max(g.attempt for g in logs.got)
    scene.at_most("attempts of one event", attempts, 7)
    sent, events = sum(g.sub == "1" for g in logs.got), count // 4
    scene.at_most("requests per event", sent / events, 3)


@row("D4", "answers without end: 1 byte a second, 10 GB of body, endless headers", "C", seconds=90)
def endless(scene: Scene) -> None:
    scene.config["retry"] = {"delays": ["300ms", "1s", "2s", "4s"]}
    for number, behaviour in enumerate(
        (
            Behaviour(drip=1.0),
            Behaviour(endless="body"),
            Behaviour(endless="headers"),
            Behaviour(hang="head"),
            Behaviour(hang="body"),
        ),
        1,
    ):
        scene.subscriber(number, timeout="2s", concurrency=4)
        scene.endpoints.set(f"/s/{number}", behaviour)
    many(scene, 4)
    scene.ingest()
    relay = scene.relay()
    scene.pour(400, range(1001, 1005))
    scene.endpoints.wait_taken(400, 30)
    flat = relay.rss()
    scene.pour(50, range(1, 6), connections=4)
    healthy = scene.pour(2000, range(1001, 1005), connections=8, rate=400)
    scene.endpoints.wait_taken(2400, 30)
    scene.note(f"healthy beside {len(healthy.bodies)}")
    hold(4.0)
    longest = [scene.endpoints.longest(f"/s/{number}") for number in range(1, 6)]
    scene.check(min(longest) > 0, f"{sum(t > 0 for t in longest)} of 5 cut", "5")
    scene.at_most("longest", max(longest), 2.0 + 1.5, " s")
    scene.at_most("memory grew", (relay.rss() - flat) / MIB, 16, " MiB")
    for number in range(1, 6):
        scene.endpoints.set(f"/s/{number}", None)
    scene.settle(60)
    # A receiver that never ended its answer may have taken the event all the same.
    scene.judge(doubles=None, caps={"relay": Caps(rss=150 * MIB)})


def outcome(status: int) -> str:
    """What the relay has to do with a status: done, again, dead."""
    if 200 <= status < 300:
        return "done"
    return "dead" if status in (410, 422) else "again"


# Retry-After of a 503 -> least and most seconds to the next attempt; the steps are 0.4, 1, 2, 4 s.
WAITS = {
    "1": (1.0, 3.0),
    "2": (2.0, 4.0),
    "DATE+2": (0.9, 5.0),
    "DATE-60": (0.3, 1.5),
    "soon": (0.3, 1.5),
    "-5": (0.3, 1.5),
    "1e3": (0.3, 1.5),
    "99999999999999999999": (0.3, 6.0),
    "86400": (3.5, 6.0),
    "": (0.3, 1.5),
}


@row("D5", "every status, reset, timeout, TLS fault and Retry-After", "C", seconds=120)
def statuses(scene: Scene) -> None:
    scene.config["retry"] = {"delays": ["400ms", "1s", "2s", "4s"], "jitter": 0}
    codes = [n for n in range(200, 600)]
    for code in codes:
        scene.subscriber(code, fatal_statuses=[422], timeout="1s")
        scene.endpoints.set(f"/s/{code}", Behaviour(script=[code]))
    faults = {
        1: Behaviour(script=[0]),  # reset
        2: Behaviour(script=[100]),  # an interim answer and nothing more
        3: Behaviour(script=[102]),
    }
    for number, behaviour in faults.items():
        scene.subscriber(number, timeout="1s")
        scene.endpoints.set(f"/s/{number}", behaviour)
    for number, value in enumerate(WAITS, 1000):
        if value.startswith("DATE"):
            value = formatdate(time.time() + 8 + float(value[4:]), usegmt=True)
        scene.subscriber(number)
        header = f"Retry-After: {value}\r\n"
        scene.endpoints.set(f"/s/{number}", Behaviour(script=[503], headers=header))
    scene.subscriber(2000, port=scene.endpoints.port, scheme="https", timeout="1s")  # no TLS there
    scene.subscriber(2001, port=free_port(), timeout="1s")  # nobody listens
    scene.ingest()
    scene.relay()
    dated = [n for n, value in enumerate(WAITS, 1000) if value.startswith("DATE")]
    # The dated ones first and set as late as possible, so that the date means what it says.
    numbers = dated + [int(s.instance) for s in scene.subs if int(s.instance) not in dated]
    for number in dated:
        value = list(WAITS)[number - 1000]
        when = formatdate(time.time() + 0.7 + float(value[4:]), usegmt=True)
        header = f"Retry-After: {when}\r\n"
        scene.endpoints.set(f"/s/{number}", Behaviour(script=[503], headers=header))
    scene.pour(len(numbers), numbers)
    hold(1.0)
    logs = until(lambda: _all_seen(scene, numbers), 60, "an end for each status", pause=1.0)
    asked: dict[str, list] = {}
    for got in logs.got:
        asked.setdefault(got.sub, []).append(got)
    dead = {record.headers["er-sub"] for record in logs.dead}
    wrong = []
    for code in codes:
        tries, sub = asked.get(str(code), []), str(code)
        wanted = outcome(code)
        if wanted == "again" and [g.status for g in tries] != [code, 200]:
            wrong.append(f"{code}: {[g.status for g in tries]}, once more expected")
        if wanted == "done" and len(tries) != 1:
            wrong.append(f"{code}: {len(tries)} attempts")
        if (wanted == "dead") != (sub in dead):
            wrong.append(f"{code}: dead letter {sub in dead}")
        if wanted == "again" and len(tries) == 2 and tries[1].attempt != 2:
            wrong.append(f"{code}: second attempt is told as {tries[1].attempt}")
    for number in faults:
        if [g.status for g in asked.get(str(number), [])][-1:] != [200]:
            wrong.append(f"fault {number}: not tried again")
    for number, (value, (least, most)) in enumerate(WAITS.items(), 1000):
        tries = asked.get(str(number), [])
        waited = tries[1].at - tries[0].done if len(tries) > 1 else -1.0
        if not least - 0.05 <= waited <= most:
            wrong.append(f"Retry-After {value!r}: {waited:.2f} s, not {least} to {most}")
    for sub in ("2000", "2001"):
        reason = [r.headers.get("er-reason") for r in logs.parked if r.headers["er-sub"] == sub]
        if reason[:1] != [{"2000": "tls", "2001": "connect"}[sub]]:
            wrong.append(f"{sub}: reason {reason[:1]}")
    scene.findings += wrong
    rows = len(codes) + len(faults) + len(WAITS) + 2
    scene.check(not wrong, f"{rows - len(wrong)} of {rows} rows", str(rows))


def _all_seen(scene: Scene, numbers: list[int]) -> Logs | None:
    """The logs, once every number but the two unreachable ones was delivered or is dead."""
    taken = scene.endpoints.taken_by_path()
    missing = [n for n in numbers if n < 2000 and not taken.get(f"/s/{n}")]
    if len(missing) > 2:  # 410 and 422 are never delivered
        return None
    logs = scene.logs()
    dead = {record.headers["er-sub"] for record in logs.dead}
    return logs if all(str(n) in dead for n in missing) else None


@row("D6", "schedule exhausted, dead letter, replay", "C", seconds=150)
def exhausted(scene: Scene) -> None:
    scene.config["retry"] = {"delays": ["200ms", "400ms"], "jitter": 0}
    scene.subscriber(1, concurrency=8)
    many(scene, 3)
    # One of 20 of its events is never taken; others are, to the last retry of these, so that its
    # breaker stays closed and its retry budget has room.
    scene.endpoints.set("/s/1", Behaviour(only={"object-3x": 500}))
    scene.ingest()
    scene.relay()
    count = 1600
    scene.pour(count, object_of=lambda n: f"object-{n // 4 % 20}x", rate=400)
    scene.pour(1200, object_of=lambda n: "object-0x", rate=300)
    scene.settle()
    logs = scene.logs()
    mine = [r for r in logs.dead if r.headers.get("er-sub") == "1"]
    given_up = count // 80
    scene.exactly("dead letters", len(mine), given_up)
    wrong = []
    for record in mine:
        found = record.headers
        first, now = int(found.get("er-first-failure", 0)) / 1000, time.time()
        if found.get("er-reason") != "http_5xx" or found.get("er-attempt") != "3":
            wrong.append(f"{found.get('er-reason')}, {found.get('er-attempt')} attempts")
        elif found.get("er-class") != "subscriber" or not now - 120 < first <= record.at:
            wrong.append(f"class {found.get('er-class')}, first failure {first}")
    scene.findings += wrong[:5]
    scene.exactly("wrong headers", len(wrong), 0)
    scene.endpoints.set("/s/1", None)
    path = str(scene.stack.write())
    # Stopped in the middle by its own signal, and once more: nothing is sent twice.
    arguments = ["replay", "-c", path, "--from", "dead", "--instance", "1"]
    tried = run("eventrelay", *arguments, "--dry-run", seconds=30)
    scene.check(tried.returncode == 0, f"dry run {tried.returncode}", "0")
    before = scene.endpoints.taken("/s/1")
    scene.exactly("sent by the dry run", before - (count // 4 - given_up) - 300, 0)
    for _ in range(2):
        done = run("eventrelay", *arguments, seconds=60)
        scene.check(done.returncode == 0, f"replay {done.returncode}", "0")
        if done.returncode:
            scene.findings.append(done.stderr.decode()[-500:])
            return
    every = count // 4 + 300
    until(lambda: scene.endpoints.taken("/s/1") >= every, 30, "all replayed", pause=0.2)
    scene.settle()
    scene.exactly("replayed", scene.endpoints.taken("/s/1") - before, given_up)
    scene.judge()


@row("D7", "redirects are not followed", "C", seconds=60)
def redirects(scene: Scene) -> None:
    shim = Shim(scene.directory)
    scene.config["retry"] = {"delays": ["300ms"], "jitter": 0}
    places = ["http://169.254.169.254/latest/", "http://8.8.8.8/x", scene.endpoints.url("/trap")]
    where = [(code, place) for code in (301, 302, 303, 307, 308) for place in places]
    for number, (code, place) in enumerate(where, 1):
        scene.subscriber(number)
        header = f"Location: {place}\r\n"
        scene.endpoints.set(f"/s/{number}", Behaviour(script=[code], headers=header))
    scene.ingest()
    scene.relay(env=shim.environment)
    scene.pour(len(where))
    scene.settle()
    scene.connected = shim.connected()
    scene.at_least("connections seen", len(scene.connected), 2)
    far = [address for address in scene.connected if not address.startswith("127.")]
    scene.exactly("followed elsewhere", len(far), 0)
    scene.exactly("followed here", scene.endpoints.requests("/trap"), 0)
    scene.judge()


TOXICS = {
    "latency": Fault(latency=0.05, jitter=0.04),
    "bandwidth": Fault(bandwidth=20_000),
    "hang": Fault(hang=True),
    "hang and end": Fault(hang=True, end_after=0.5),
    "slow close": Fault(slow_close=0.5),
    "slicer": Fault(slice=50, slice_pause=0.002),
    "limit": Fault(limit=700),
    "reset": Fault(reset=True),
}


@row(
    "D8", "8 faults of the network, both directions, on the way to the subscriber", "N", 1, 0, 600
)
def toxics(scene: Scene) -> None:
    proxy = Proxy([scene.endpoints.port], seed=scene.seed)
    try:
        scene.config["retry"] = {"delays": ["200ms", "500ms", "1s", "2s", "4s", "8s", "16s"]}
        for number in range(1, 5):
            scene.subscriber(number, port=proxy.ports[0], timeout="1s")
        scene.ingest()
        scene.relay()
        slowest = 0.0
        faults: list[tuple[float, float]] = []
        for name, fault in TOXICS.items():
            for way in ("up", "down"):
                set_at = time.time()
                proxy.fault(**{way: fault})
                fed = scene.feed(200, connections=8, rate=100).finish(60)
                hold(2.0)
                proxy.heal()
                healed = time.monotonic()
                faults.append((set_at, time.time() + 1.0))
                fresh = scene.pour(8, connections=1)
                taken = [a for a in fresh.load.answers if a.status == 202]
                wanted = {quoted for a in taken for quoted in EVENT_ID.findall(a.body)}
                until(lambda w=wanted: _taken(scene, w), 30, f"fresh events after {name} {way}")
                slowest = max(slowest, time.monotonic() - healed)
                assert fed.load.statuses()[202] == 200
        scene.at_most("slowest recovery", slowest, 10, " s")
        scene.settle(120)
        # A reset or a cut may come after the receiver took the event: these are doubles by nature.
        # What a fault held back arrives later than it was signed, but it was signed, as all else,
        # while it was sent: since the fault began.
        logs = scene.logs()
        logs.got = [held_back(got, faults) for got in logs.got]
        scene.judge(doubles=None, logs=logs)
    finally:
        proxy.close()


def held_back(got: Got, faults: list[tuple[float, float]]) -> Got:
    """One that arrived during a fault, signed since that began: as if it had arrived at once."""
    for begin, end in faults:
        if begin <= got.at <= end and got.stamp is not None and int(begin) <= got.stamp <= got.at:
            return got._replace(stamp=got.at)
    return got


def _taken(scene: Scene, quoted: set[bytes]) -> bool:
    ids = {one.decode().strip('"') for one in quoted}
    return ids <= {row.event for row in scene.endpoints.rows() if 200 <= row.status < 300}


@row("D9", "the wall clock steps by an hour while retries wait", "C", seconds=90)
def clock(scene: Scene) -> None:
    shim = Shim(scene.directory)
    scene.config["retry"] = {"delays": ["4s", "8s"], "jitter": 0}
    scene.subscriber(1, concurrency=8)
    many(scene, 3)
    scene.ingest()
    relay = scene.relay(env=shim.environment)
    scene.endpoints.set("/s/1", Behaviour(per_event=[503]))
    worst, burst = 0.0, 0
    for turn, step in enumerate((3600.0, -3600.0), 1):
        before = scene.endpoints.requests("/s/1")
        scene.pour(40)
        until(lambda b=before: scene.endpoints.requests("/s/1") >= b + 10, 20, "all failed once")
        begin = time.monotonic()
        shim.move(step)
        hold(0.3)
        burst = max(burst, scene.endpoints.taken("/s/1") - 10 * (turn - 1))
        until(lambda t=turn: scene.endpoints.taken("/s/1") >= 10 * t, 30, f"retries, {step:+g} s")
        worst = max(worst, time.monotonic() - begin)
        rows = [r for r in scene.endpoints.rows() if r.attempt > 1][-10:]
        off = max(abs(r.stamp - r.at - step) for r in rows)
        scene.at_most(f"signed time after {step:+g} s off by", off, 3, " s")
        shim.move(0.0)
    scene.exactly("sent at the step", burst, 0)
    scene.at_most("slowest retry", worst, 9, " s")
    scene.check(relay.alive(), "relay lives")
    scene.settle()
    # The times in this relay's records are off on purpose, so commits are not judged by them.
    logs = scene.logs()
    index = Index(logs)
    scene.exactly("lost", len(settle(logs, index).lost), 0)
    scene.exactly("doubles", doubles(logs, index), 0)


@row("D10", "peer closes an idle connection while it is used, 10,000 times", "N", nightly=180)
def idle_race(scene: Scene) -> None:
    scene.config["retry"] = {"delays": ["200ms", "1s", "5s"]}
    many(scene, 4, concurrency=4)
    for number in range(1001, 1005):
        scene.endpoints.set(f"/s/{number}", Behaviour(close=True))
    scene.ingest()
    relay = scene.relay()
    scene.feed(10_000, connections=16, rate=400).finish(60)
    scene.settle()
    logs = scene.judge()
    scene.exactly("delivered", sum(200 <= g.status < 300 for g in logs.got), 10_000)
    resets = relay.metric('eventrelay_relay_deliveries_total{outcome="reset"}')
    scene.note(f"told as reset {resets:g}")


@row("D11", "keys rotate under load", "C", seconds=60)
def rotation(scene: Scene) -> None:
    many(scene, 4)
    scene.ingest()
    relay = scene.relay()
    keys = [KEY] + [b"rotated-key-of-24-byte-%d" % n for n in range(3)]
    written = ["whsec_" + b64encode(key).decode() for key in keys]
    fed = scene.feed(8000, connections=8, rate=1000)
    for turn in range(1, len(keys)):
        before = scene.endpoints.taken()
        scene.endpoints.wait_taken(before + 500, 20)
        # The receiver knows both keys before the sender changes, and drops the old one after.
        scene.endpoints.keys(keys[turn - 1], keys[turn])
        for instance in scene.config["instances"]:
            instance["configuration"]["event.notification.signature.key"] = written[turn]
            instance["delivery"]["keys"] = [written[turn - 1]]
        scene.stack.write()
        reloads = len(relay.said("configuration reloaded"))
        relay.reload()
        until(lambda n=reloads: len(relay.said("configuration reloaded")) > n, 10, "reloaded")
        scene.endpoints.wait_taken(scene.endpoints.taken() + 500, 20)
        scene.endpoints.keys(keys[turn])
    fed.finish(60)
    scene.settle()
    logs = scene.judge()
    scene.exactly("not verified", sum(not g.signed for g in logs.got), 0)
