"""One node, one Kafka and one receiver of callbacks for all tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Iterator

import pytest

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).resolve().parent))

from node import ADDRESS, Node, until  # noqa: E402

PROGRAM = ROOT / "build/release/bin/eventrelay"
CALLBACK_KEY = "callback-key-of-the-cluster-tests"
SOURCE_KEY = "source-key-of-the-cluster-tests"
RATE = 60
RECEIVER = "10.250.0.10"

KAFKA = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:19093
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{address}:9092,CONTROLLER://127.0.0.1:19093
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=2
"""


@pytest.fixture(scope="session")
def work() -> Path:
    folder = os.environ.get("EVENTRELAY_SEALED")
    assert folder, "these tests run inside tests/cluster/sealed: ./test cluster"
    return Path(folder)


@pytest.fixture(scope="session")
def node(work: Path) -> Iterator[Node]:
    found = Node(work)
    found.start()
    yield found
    for process in found.processes.values():
        process.terminate()


@pytest.fixture(scope="session")
def kafka(work: Path) -> Iterator[str]:
    """A real Kafka beside the cluster, under the node's address."""
    data = work / "kafka"
    properties = work / "kafka.properties"
    properties.write_text(KAFKA.format(address=ADDRESS, data=data))
    jars = os.environ["EVENTRELAY_KAFKA_JARS"] + "/*"
    java = ["java", "-Xms256m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]
    subprocess.run(
        [
            *java,
            jars,
            "kafka.tools.StorageTool",
            "format",
            "-t",
            "eventrelay-tests-00001",
            "-c",
            properties,
        ],
        check=True,
        capture_output=True,
    )
    with (work / "kafka.log").open("wb") as log:
        broker = subprocess.Popen(
            [*java, jars, "kafka.Kafka", properties], stdout=log, stderr=subprocess.STDOUT
        )
    address = f"{ADDRESS}:9092"
    config = work / "topics.yaml"
    config.write_text(f"version: 1\nkafka: {{bootstrap.servers: '{address}'}}\n")

    def answers() -> bool:
        return (
            subprocess.run(
                [PROGRAM, "topics", "init", "-c", config],
                capture_output=True,
                timeout=60,
                check=False,
            ).returncode
            == 0
        )

    until(answers, 90, "Kafka takes topics")
    yield address
    broker.terminate()
    broker.wait(30)


class Receiver:
    """`eventrelay listen` under a private address of the node; counts each event id."""

    def __init__(self, work: Path):
        self.out = work / "received.jsonl"
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [
                    PROGRAM,
                    "listen",
                    "--address",
                    RECEIVER,
                    "--port",
                    "9999",
                    "--json",
                    "--key",
                    CALLBACK_KEY,
                ],
                stdout=out,
            )

    def deliveries(self) -> list[dict]:
        lines = self.out.read_text("utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def ids(self) -> Counter[str]:
        return Counter(line["id"] for line in self.deliveries())


@pytest.fixture(scope="session")
def receiver(work: Path) -> Iterator[Receiver]:
    found = Receiver(work)
    yield found
    found.process.terminate()
    found.process.wait(10)


class Traffic:
    """Signed Box events at a steady rate into the installed ingest while something happens."""

    def __init__(self, work: Path, address: str, seconds: int):
        self.out = work / "sent.jsonl"
        self.count = RATE * seconds
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [
                    PROGRAM,
                    "send",
                    "box-v2",
                    "--json",
                    "--key",
                    SOURCE_KEY,
                    "--url",
                    f"http://{address}:8080/elements/api-v2/events/box/NDI3MjM2",
                    "--rate",
                    str(RATE),
                    "--count",
                    str(self.count),
                    "--concurrency",
                    "4",
                ],
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
            )

    def running(self) -> bool:
        return self.process.poll() is None

    def finish(self, seconds: float = 120) -> tuple[Counter[int], set[str]]:
        """Statuses of all answers, and the ids of the accepted events."""
        self.process.wait(seconds)
        text, answers, place = self.out.read_text("utf-8"), [], 0
        while place < len(text):
            answer, place = json.JSONDecoder().raw_decode(text, place)
            answers.append(answer)
            place += len(text[place:]) - len(text[place:].lstrip())
        ids: set[str] = set()
        for answer in answers:
            if answer["status"] == 202:
                ids.update(answer["answer"]["eventIds"])
        return Counter(answer["status"] for answer in answers), ids
