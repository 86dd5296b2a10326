"""A real Kafka on loopback: one or more KRaft nodes with fresh data, for tests and trials.

Why:    loss, duplicates and durability are only shown against the real thing.
Bounds: heap 256 MiB per node; every wait has a deadline; a node ends with the process that
        started it, however that one ends.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_VERSION = "3.9.1"
CLUSTER_ID = "eventrelay-tests-00001"  # 22 characters, as Kafka wants

_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{front}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,FRONT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={logs}
default.replication.factor={replicas}
min.insync.replicas={in_sync}
unclean.leader.election.enable=false
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=8
transaction.state.log.replication.factor={replicas}
transaction.state.log.num.partitions=4
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=4194304
log.segment.delete.delay.ms=1000
num.network.threads=2
num.io.threads=2
"""


class BrokerError(RuntimeError):
    """A node did not start, answer or end in time. The message has the last lines of its log."""


_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on, below the range the kernel hands to outgoing connections, so that
    no client can take it while a node is down. It is given once, and to no other worker of
    pytest: between now and the moment somebody listens nobody else is told of it."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = 20_000 // workers
    first = 12_000 + share * worker
    for _ in range(1000):
        port = random.SystemRandom().randint(first, first + share - 1)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise BrokerError(f"no free port between {first} and {first + share - 1}")


def jars(version: str = DEFAULT_VERSION) -> str:
    done = subprocess.run(
        [str(HERE / "kafka" / "fetch"), version], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise BrokerError(f"the jars of Kafka {version} are not available")
    return done.stdout.strip()


def memory_folder() -> str | None:
    """Where the log of a broker lies in memory, if 4 GiB fit there. For measuring: a disk that
    takes less than is sent makes whoever is measured last wait for all who came before."""
    folder = Path("/dev/shm")
    free = 4 << 30
    if not os.access(folder, os.W_OK) or shutil.disk_usage(folder).free < free:
        return None
    meminfo = Path("/proc/meminfo").read_text()
    available = next(line for line in meminfo.splitlines() if line.startswith("MemAvailable"))
    return str(folder) if int(available.split()[1]) << 10 >= 2 * free else None


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    os.setpgid(0, 0)  # a Ctrl-C on the terminal is for the parent, which stops the node itself


def _brokers_seen(port: int, timeout: float) -> int:
    """Nodes in the answer to a Metadata request, 0 if there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as conn:
            conn.settimeout(timeout)
            request = struct.pack(">hhihi", 3, 1, 1, -1, -1)  # Metadata v1, all topics
            conn.sendall(struct.pack(">i", len(request)) + request)
            answer = b""
            while len(answer) < 12:
                part = conn.recv(4096)
                if not part:
                    return 0
                answer += part
            return struct.unpack(">iii", answer[:12])[2]
    except OSError:
        return 0


class Node:
    """One broker-and-controller process on its own data directory."""

    def __init__(self, cluster: Broker, number: int, port: int):
        self.cluster = cluster
        self.number = number
        self.port = port
        self.controller_port = free_port()
        self.front: tuple[int, int] | None = None
        self.dir = cluster.dir / f"node-{number}"
        self.log = self.dir / "broker.log"
        self.process: subprocess.Popen | None = None
        self.paused = False

    def prepare(self, voters: str, replicas: int) -> None:
        self.dir.mkdir(parents=True)
        front, advertised = "", ""
        if self.front is not None:
            front, advertised = (f",FRONT://127.0.0.1:{port}" for port in self.front)
        (self.dir / "server.properties").write_text(
            _PROPERTIES.format(
                node=self.number,
                voters=voters,
                port=self.port,
                front=front,
                advertised=advertised,
                controller=self.controller_port,
                logs=self.dir / "data",
                replicas=replicas,
                in_sync=min(2, replicas),
            )
            + "".join(f"{key}={value}\n" for key, value in self.cluster.properties.items())
        )
        self._format()

    def _format(self) -> None:
        # Formatting costs a JVM start of 2 s; its result depends on version and node number only,
        # so the first one is kept beside the jars.
        kept = Path(self.cluster.jars).parent / f"formatted-{self.number}"
        if not kept.is_dir():
            done = subprocess.run(
                self._java(["-Xmx256m"])
                + ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID]
                + ["-c", str(self.dir / "server.properties")],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise BrokerError(f"format failed: {done.stdout[-2000:]}")
            part = Path(tempfile.mkdtemp(dir=kept.parent))
            shutil.copytree(self.dir / "data", part / "data")
            try:
                (part / "data").rename(kept)
            except OSError:
                pass  # another process was first
            shutil.rmtree(part, ignore_errors=True)
        if not (self.dir / "data").is_dir():
            shutil.copytree(kept, self.dir / "data")

    def _java(self, flags: list[str]) -> list[str]:
        return [
            "java",
            *flags,
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            "-cp",
            self.cluster.jars + "/*",
        ]

    def launch(self) -> None:
        assert self.process is None, f"node {self.number} runs already"
        flags = [f"-Xmx{self.cluster.heap}"]
        if self.cluster.light:
            flags += ["-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        else:
            flags += [f"-Xms{self.cluster.heap}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._java(flags) + ["kafka.Kafka", str(self.dir / "server.properties")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.dir,
                preexec_fn=_die_with_parent,
            )

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log_end(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def stop(self, timeout: float = 20.0) -> None:
        """Orderly end; SIGKILL if it takes longer than `timeout`."""
        if self.process is None:
            return
        self.resume()
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.paused = False

    def pause(self) -> None:
        """SIGSTOP: the sockets stay open, as those of a broker that hangs. Returns when the last of
        its threads stands still: a busy one may answer somebody until then."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self.paused = True

    def resume(self) -> None:
        if self.process is not None and self.paused:
            self.process.send_signal(signal.SIGCONT)
            self.paused = False


class Broker:
    """A cluster of `nodes` nodes. Use as a context manager, or start() and close().

    `directory`: its data, kept; none: a fresh folder, in `parent` if that is given, removed.
    `fronts`: a second listener of each node, as (port it listens on, port it tells its clients):
    whoever asks there stays behind the proxy that stands on the told port."""

    def __init__(
        self,
        version: str = DEFAULT_VERSION,
        nodes: int = 1,
        port: int = 0,
        heap: str = "256m",
        light: bool = True,
        properties: dict[str, str] | None = None,
        directory: str | None = None,
        fronts: list[tuple[int, int]] | None = None,
        parent: str | None = None,
    ):
        self.version = version
        self.jars = jars(version)
        self.heap = heap
        self.light = light
        self.properties = properties or {}
        self.owns_dir = directory is None
        self.dir = Path(directory or tempfile.mkdtemp(prefix="eventrelay-kafka-", dir=parent))
        ports = [port or free_port()] + [free_port() for _ in range(nodes - 1)]
        self.nodes = [Node(self, number + 1, ports[number]) for number in range(nodes)]
        for node, front in zip(self.nodes, fronts or []):
            node.front = front

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, timeout: float = 180.0) -> Broker:
        """Formats fresh data, starts every node and waits until all of them answer."""
        voters = ",".join(f"{n.number}@127.0.0.1:{n.controller_port}" for n in self.nodes)
        try:
            for node in self.nodes:
                node.prepare(voters, min(3, len(self.nodes)))
            for node in self.nodes:
                node.launch()
            self.wait_ready(timeout)
        except BaseException:
            self.close()
            raise
        return self

    def controller(self) -> int:
        """Number of the node that leads the quorum now, by a DescribeQuorum v0 request."""
        name = b"__cluster_metadata"
        request = struct.pack(">hhihB", 55, 0, 1, -1, 0)
        request += struct.pack(">BB", 2, len(name) + 1) + name
        request += struct.pack(">BiBBB", 2, 0, 0, 0, 0)  # its partition 0
        port = next(node.port for node in self.nodes if node.process is not None)
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            peer.settimeout(10)
            peer.sendall(struct.pack(">i", len(request)) + request)
            answer = b""
            while len(answer) < 4 or len(answer) < 4 + struct.unpack(">i", answer[:4])[0]:
                part = peer.recv(4096)
                if not part:
                    raise BrokerError("the node ended the connection")
                answer += part
        # size, correlation, tags, error, topics, name, partitions, partition, error: the leader
        at = 4 + 4 + 1 + 2 + 1 + 1 + len(name) + 1 + 4
        error, leader = struct.unpack_from(">hi", answer, at)
        if error:
            raise BrokerError(f"DescribeQuorum answered {error}")
        return leader

    def wait_ready(self, timeout: float = 180.0) -> float:
        """Seconds until every running node lists all running nodes."""
        begin = time.monotonic()
        running = [node for node in self.nodes if node.process is not None]
        for node in running:
            while _brokers_seen(node.port, 1.0) < len(running):
                if not node.alive():
                    raise BrokerError(f"node {node.number} ended at start:\n{node.log_end()}")
                if time.monotonic() - begin > timeout:
                    raise BrokerError(
                        f"node {node.number} not ready in {timeout} s:\n{node.log_end()}"
                    )
                time.sleep(0.05)
        return time.monotonic() - begin

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def pause(self) -> None:
        for node in self.nodes:
            node.pause()

    def resume(self) -> None:
        for node in self.nodes:
            node.resume()

    def restart(self, timeout: float = 180.0) -> float:
        """Starts the nodes that are down, on the same data and ports; seconds until ready."""
        begin = time.monotonic()
        for node in self.nodes:
            if node.process is None:
                node.launch()
        self.wait_ready(timeout)
        return time.monotonic() - begin

    def close(self) -> None:
        for node in self.nodes:
            node.kill()
        if self.owns_dir:
            shutil.rmtree(self.dir, ignore_errors=True)
