"""One scenario: a cluster that is shared and healed afterwards, programs and endpoints of its own,
load of a fixed count, and the judging of what the four logs say.

Bounds: every wait has a deadline; the row as a whole has one too (board.py).
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Sequence

from confluent_kafka import OFFSET_INVALID, TopicPartition
from confluent_kafka.admin import AdminClient

from scoreboard import checker
from scoreboard.collect import messages, read_endpoints, read_kafka
from scoreboard.logs import Answer, Caps, Logs, Sample, Subscription, digest
from support import box
from support.broker import DEFAULT_VERSION, Broker, Node, free_port
from support.endpoints import Endpoints
from support.kafka_log import open_reader, topics
from support.load import Load
from support.programs import ROOT, Program
from support.proxy import Proxy
from support.stack import SECRETS, Stack
from support.wait import until

KEY = b"scoreboard-key-of-24-byt"
KEY_TEXT = "whsec_c2NvcmVib2FyZC1rZXktb2YtMjQtYnl0"
VERSION = os.environ.get("EVENTRELAY_KAFKA_VERSION", DEFAULT_VERSION)
COMMIT_SECONDS = 0.25  # commits are made at least this often; a kill repeats what came since
EVENT_ID = re.compile(rb'"eventIds":\[([^\]]*)\]')


class Cluster:
    """A Kafka of one or three nodes with a proxy in front of each. Healed after each scenario."""

    def __init__(self, nodes: int, seed: int):
        fronts = [(free_port(), free_port()) for _ in range(nodes)]
        self.broker = Broker(VERSION, nodes, fronts=fronts)
        self.proxy = Proxy([f[0] for f in fronts], True, seed, [f[1] for f in fronts])
        try:
            self.broker.start()
        except BaseException:
            self.proxy.close()
            raise

    @property
    def proxied(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self.proxy.ports)

    def heal(self) -> None:
        self.proxy.heal()
        self.broker.resume()
        self.broker.restart()
        if len(self.broker.nodes) > 1:
            self.wait_full()

    def wait_full(self, seconds: float = 60.0, prefix: str = "") -> None:
        """Every partition has a leader and all of its replicas in sync."""
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap, "log_level": 0})

        def full() -> bool:
            return all(
                partition.leader >= 0 and len(partition.isrs) == len(partition.replicas)
                for name, topic in admin.list_topics(timeout=10).topics.items()
                if name.startswith(prefix)
                for partition in topic.partitions.values()
            )

        until(full, seconds, "every partition has its leader and its replicas", pause=0.2)

    def wait_without(self, node: Node, prefix: str, seconds: float = 30.0) -> None:
        """The cluster has fenced this node: it leads nothing and is in no in-sync set."""
        others = ",".join(f"127.0.0.1:{n.port}" for n in self.broker.nodes if n is not node)
        admin = AdminClient({"bootstrap.servers": others, "log_level": 0})

        def without() -> bool:
            return all(
                partition.leader not in (-1, node.number) and node.number not in partition.isrs
                for name, topic in admin.list_topics(timeout=10).topics.items()
                if name.startswith(prefix)
                for partition in topic.partitions.values()
            )

        until(without, seconds, f"node {node.number} is fenced", pause=0.05)

    def leaders(self, topic: str) -> dict[int, int]:
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap, "log_level": 0})
        found = admin.list_topics(topic, timeout=10).topics[topic].partitions
        return {number: partition.leader for number, partition in found.items()}

    def close(self) -> None:
        self.broker.close()
        self.proxy.close()


@dataclass
class Check:
    ok: bool
    figure: str
    bound: str = ""


@dataclass
class Bodies(Sequence):
    """Events of the provider, each made when it is asked for, the same every time."""

    first: int
    count: int
    object_of: Callable[[int], str] | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> bytes:
        if not 0 <= place < self.count:
            raise IndexError(place)
        number = self.first + place
        return box.body(number, object_id=self.object_of(number) if self.object_of else None)


@dataclass
class SignedLate(Sequence):
    """Requests that are signed when they are sent: a provider's signature is good for ten minutes,
    and a million of them do not fit beside each other."""

    bodies: Bodies
    where: list[int]

    def __len__(self) -> int:
        return len(self.bodies)

    def __getitem__(self, place: int) -> bytes:
        instance = self.where[(self.bodies.first + place) % len(self.where)]
        return box.v2_request(instance, self.bodies[place])


@dataclass
class Fed:
    """One load and the numbers of its requests in the scenario."""

    load: Load
    first: int
    bodies: Sequence[bytes]

    def finish(self, seconds: float) -> Fed:
        self.load.finish(seconds)
        return self


class Sampler(threading.Thread):
    """Notes resources of every living program twice a second."""

    def __init__(self, programs: list[Program]):
        super().__init__(daemon=True)
        self.programs = programs
        self.samples: list[Sample] = []
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.5):
            for program in list(self.programs):
                try:
                    proc = Path(f"/proc/{program.pid}")
                    status = (proc / "status").read_text()
                    rss = int(status.split("VmRSS:")[1].split()[0]) * 1024
                    threads = int(status.split("Threads:")[1].split()[0])
                    fds = len(os.listdir(proc / "fd"))
                except (OSError, IndexError):
                    continue  # it ended
                name = program.name.removeprefix("eventrelay-")
                self.samples.append(Sample(name, time.time(), rss, fds, threads))

    def stop(self) -> list[Sample]:
        self._end.set()
        self.join(5)
        return self.samples


class Progress:
    """How far the groups of one scenario are, asked with handles that are kept."""

    def __init__(self, bootstrap: str, prefix: str, group: str):
        self.bootstrap, self.prefix, self.group = bootstrap, prefix, group
        self.readers = {name: open_reader(bootstrap, name) for name in (group, group + ".delays")}

    def behind(self, topic: str, group: str) -> int:
        reader = self.readers[group]
        parts = reader.list_topics(self.prefix + topic, timeout=10).topics[self.prefix + topic]
        places = [TopicPartition(self.prefix + topic, p) for p in parts.partitions]
        ends = {p.partition: reader.get_watermark_offsets(p, timeout=10) for p in places}
        at = {}
        for place in reader.committed(places, timeout=10):
            low, _ = ends[place.partition]
            at[place.partition] = max(low, 0 if place.offset == OFFSET_INVALID else place.offset)
        left = sum(ends[partition][1] - offset for partition, offset in at.items())
        if not 0 < left <= 20:
            return left
        # A few: maybe only marks of transactions, which are no records.
        return sum(1 for _ in messages(self.bootstrap, self.prefix + topic, since=at))

    def waiting(self) -> dict[str, int]:
        """Events behind the commit, parked records, living cursors: what is not zero."""
        found = {}
        for topic in topics(self.bootstrap, self.prefix):
            name = topic[len(self.prefix) :]
            if name == "events" or name.startswith("retry."):
                group = self.group if name == "events" else self.group + ".delays"
                found[name] = self.behind(name, group)
            elif name == "state":
                living: dict[bytes, bytes | None] = {}
                for message in messages(self.bootstrap, topic):
                    living[message.key()] = message.value()
                cursors = [v for v in living.values() if v is not None and b'"subscription"' in v]
                found["state"] = len(cursors)
        return {name: count for name, count in found.items() if count}

    def close(self) -> None:
        for reader in self.readers.values():
            reader.close()


class Figures:
    """What a row measured, and whether that is enough."""

    def __init__(self, name: str, directory: Path, seed: int, nightly: bool):
        self.name, self.directory, self.seed, self.nightly = name, directory, seed, nightly
        self.rng = random.Random(seed)
        self.checks: list[Check] = []
        self.findings: list[str] = []

    def check(self, ok: bool, figure: str, bound: str = "") -> None:
        self.checks.append(Check(bool(ok), figure, bound))

    def at_most(self, what: str, value: float, bound: float, unit: str = "") -> None:
        self.check(value <= bound, f"{what} {value:.4g}{unit}", f"<= {bound:.4g}{unit}")

    def at_least(self, what: str, value: float, bound: float, unit: str = "") -> None:
        self.check(value >= bound, f"{what} {value:.4g}{unit}", f">= {bound:.4g}{unit}")

    def exactly(self, what: str, value: float, wanted: float) -> None:
        self.check(value == wanted, f"{what} {value:g}", f"= {wanted:g}")

    def note(self, figure: str) -> None:
        self.check(True, figure)

    def program(self, path: str, *arguments: str, seconds: float = 300) -> str:
        """A test program of the build, which must end with 0; what it printed."""
        done = subprocess.run(
            [str(ROOT / "build/release" / path), *arguments],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=os.environ | ({"EVENTRELAY_NIGHTLY": "1"} if self.nightly else {}),
        )
        if done.returncode:
            self.findings.append((done.stdout + done.stderr)[-3000:])
        self.check(done.returncode == 0, f"{Path(path).name} ended with {done.returncode}", "0")
        return done.stdout

    def close(self) -> None:
        """Ends what the row started."""


class Scene(Figures):
    def __init__(self, name: str, cluster: Cluster, directory: Path, seed: int, nightly: bool):
        super().__init__(name, directory, seed, nightly)
        self.cluster = cluster
        prefix = f"{name.lower()}.{os.urandom(3).hex()}."
        self.stack = Stack(cluster.broker, directory, prefix)
        self.config = self.stack.config
        self.config["topics"]["replication_factor"] = min(3, len(cluster.broker.nodes))
        self.endpoints = Endpoints()
        self.endpoints.keys(KEY)
        self.other_endpoints: list[Endpoints] = []
        self.subs: list[Subscription] = []
        self.paths: dict[str, str] = {}
        self.fed: list[Fed] = []
        self.wanted_ends: set[int] = set()
        self.sampler = Sampler(self.stack.programs)
        self.sampler.start()
        self.forged: set[str] = set()
        self.counters: dict[str, float] = {}
        self.connected: list[str] = []
        self.port = free_port()
        self.config["ingest"]["listen"] = [f"127.0.0.1:{self.port}"]
        self.config["ingest"]["memory_max"] = "64MiB"
        self.config["relay"]["memory_max"] = "64MiB"
        # Three delay topics instead of seven: each row makes its own.
        self.config["retry"] = {"delays": ["500ms", "2s", "10s"]}

    # -- the parties --

    def more_endpoints(self) -> Endpoints:
        """A second process of endpoints, for those who must not wait behind the first one's."""
        self.other_endpoints.append(Endpoints())
        self.other_endpoints[-1].keys(KEY)
        return self.other_endpoints[-1]

    def behind_proxy(self) -> None:
        self.config["kafka"]["bootstrap.servers"] = self.cluster.proxied

    def subscriber(
        self, number: int, path: str = "", port: int | None = None, scheme: str = "http", **delivery
    ) -> Subscription:
        """An instance with its callback, delivered raw and signed as Standard Webhooks say."""
        path = path or f"/s/{number}"
        local = self.stack.local(self.endpoints, format="raw", signature="standard", **delivery)
        local["ports"] = [port or self.endpoints.port]
        instance = self.stack.add_instance(self.endpoints, number, path)
        instance["delivery"] = local
        instance["configuration"]["event.notification.signature.key"] = KEY_TEXT
        instance["configuration"]["event.notification.callback.url"] = self.endpoints.url(
            path, port, scheme
        )
        sub = Subscription(str(number), str(number), delivery.get("ordering", "none"))
        self.subs.append(sub)
        self.paths[path] = sub.id
        return sub

    def also(self, number: int, name: str, **delivery) -> Subscription:
        """One more subscription of an instance that is there."""
        path = f"/s/{number}/{name}"
        instance = next(e for e in self.config["instances"] if e["id"] == number)
        instance["subscriptions"].append(
            {
                "name": name,
                "url": self.endpoints.url(path),
                "key": KEY_TEXT,
                "delivery": self.stack.local(
                    self.endpoints, format="raw", signature="standard", **delivery
                ),
            }
        )
        sub = Subscription(f"{number}/{name}", str(number), delivery.get("ordering", "none"))
        self.subs.append(sub)
        self.paths[path] = sub.id
        return sub

    def ingest(self, *arguments: str, **options) -> Program:
        return self.stack.ingest(*arguments, **options)

    def relay(self, *arguments: str, **options) -> Program:
        return self.stack.relay(*arguments, **options)

    def kill(self, program: Program) -> None:
        self.wanted_ends.add(program.pid)
        program.kill()

    def end(self, program: Program, seconds: float = 30.0) -> tuple[int, float]:
        self.wanted_ends.add(program.pid)
        return program.end(seconds)

    def requests(
        self,
        count: int,
        instances: Iterable[int],
        first: int | None = None,
        object_of: Callable[[int], str] | None = None,
    ) -> tuple[list[bytes], list[bytes]]:
        """Bodies and signed requests, in turn for each instance."""
        where = list(instances)
        first = self.count() if first is None else first
        numbers = range(first, first + count)
        bodies = [box.body(n, object_id=object_of(n) if object_of else None) for n in numbers]
        made = [box.v2_request(where[n % len(where)], raw) for n, raw in zip(numbers, bodies)]
        return bodies, made

    def count(self) -> int:
        return sum(len(fed.bodies) for fed in self.fed)

    def feed(
        self,
        count: int,
        instances: Iterable[int] | None = None,
        object_of: Callable[[int], str] | None = None,
        late: bool = False,
        **options,
    ) -> Fed:
        """Starts a load of `count` requests to the port of ingest; `late`: each is made and signed
        when it is sent, which a load of many minutes needs and a fast one has no time for."""
        first = self.count()
        where = list(instances or [int(sub.instance) for sub in self.subs])
        if late:
            bodies: Sequence[bytes] = Bodies(first, count, object_of)
            made: Sequence[bytes] = SignedLate(bodies, where)
        else:
            bodies, made = self.requests(count, where, first, object_of)
        fed = Fed(Load(self.port, made, **options), first, bodies)
        self.fed.append(fed)
        fed.load.start()
        return fed

    def pour(self, count: int, instances: Iterable[int] | None = None, **options) -> Fed:
        """As fast as it goes, until each request was answered 202 (a 503 is tried again)."""
        options = {"connections": 16, "again": frozenset({503})} | options
        fed = self.feed(count, instances, **options).finish(60)
        last = {a.index: a.status for a in fed.load.answers}
        assert set(last.values()) == {202} and len(last) == count, f"{fed.load.statuses()}"
        return fed

    def accepted(self) -> int:
        return sum(fed.load.statuses()[202] for fed in self.fed)

    def settle(self, seconds: float = 60.0, pause: float = 0.25) -> float:
        """Seconds until everything is committed, parked nowhere and behind no cursor."""
        progress = Progress(self.stack.broker.bootstrap, self.stack.prefix, self.stack.group)
        begin = time.monotonic()
        last: dict[str, int] = {}

        def done() -> bool:
            nonlocal last
            last = progress.waiting()
            return not last

        try:
            until(done, seconds, "everything is settled", pause=pause)
        except AssertionError:
            self.findings.append(f"not settled in {seconds:g} s: {last}")
            self.check(False, f"not settled in {seconds:g} s", "settled")
        finally:
            progress.close()
        return time.monotonic() - begin

    # -- the judging --

    def logs(self) -> Logs:
        logs = Logs(subs=self.subs, group=self.stack.group, secrets=tuple(SECRETS))
        logs.secrets += (KEY.decode(), KEY_TEXT)
        for fed in self.fed:
            for number, raw in enumerate(fed.bodies, fed.first):
                logs.requests[number] = (box.provider_id(raw), digest(raw))
            for answer in list(fed.load.answers):
                match = EVENT_ID.search(answer.body) if answer.status == 202 else None
                ids = tuple(re.findall(r'"([^"]+)"', match.group(1).decode())) if match else ()
                logs.answers.append(Answer(fed.first + answer.index, answer.status, ids))
        read_kafka(logs, self.stack.broker.bootstrap, self.stack.prefix)
        read_endpoints(logs, [self.endpoints, *self.other_endpoints], self.paths)
        logs.forged = frozenset(self.forged)
        logs.samples = list(self.sampler.samples)
        logs.counters, logs.connected = self.counters, self.connected
        for program in self.stack.programs:
            text = program.log() + program.out_path.read_text(errors="replace")
            logs.outputs[f"{program.name} {program.pid}"] = text
            code = program.process.poll()
            if code is not None:
                logs.exits.append((program.name, code, program.pid in self.wanted_ends))
        return logs

    def judge(
        self,
        doubles: float | None = 0,
        caps: dict[str, Caps] | None = None,
        all_done: bool = True,
        logs: Logs | None = None,
        still: float = 0.0,
    ) -> Logs:
        """Every invariant over the logs; `doubles`: most that are allowed, None: only counted;
        `still`: the longest that a worker stood still."""
        logs = logs or self.logs()
        index = checker.Index(logs)
        settled = checker.settle(logs, index)
        found = checker.accepted_is_logged(logs)
        missing = len(found)
        found += checker.logged_is_settled(logs, index, all_done)
        found += checker.commits_are_safe(logs, index) + checker.cursors_are_safe(logs, index)
        found += checker.delivered_is_genuine(logs, still) + checker.nothing_forged(logs)
        found += checker.denied_are_not_dialled(logs) + checker.nobody_ended(logs)
        found += checker.counters_balance(logs) + checker.in_order(logs, index)
        if all_done:
            found += checker.caught_up(logs)
        if caps:
            found += checker.within_caps(logs, caps)
        self.exactly("lost", len(settled.lost) + missing, 0)
        count = checker.doubles(logs, index)
        if doubles is None:
            self.note(f"doubles {count}")
        elif doubles == 0:
            self.exactly("doubles", count, 0)
        else:
            self.at_most("doubles", count, doubles)
        if settled.dead:
            self.note(f"dead {settled.dead}")
        self.findings += [str(finding) for finding in found]
        self.exactly("findings", len(found), 0)
        return logs

    def close(self) -> None:
        self.sampler.stop()
        for fed in self.fed:
            fed.load.stop()
        for program in self.stack.programs:
            program.kill()
        for endpoints in (self.endpoints, *self.other_endpoints):
            endpoints.close()


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


