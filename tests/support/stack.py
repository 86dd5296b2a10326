"""Ingest and relay around one topic prefix: configuration, programs, and the comparison of what
came out with what went in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from support import box
from support.broker import Broker
from support.kafka_log import Record, lag, read_topic
from support.load import Answer, Load
from support.programs import Program
from support.receiver import Delivery, Receiver
from support.wait import until

KEY = "subscriber-signature-key"
V1_TOKEN = "shared-v1-token"
INSTANCE = 427236
ONCE: frozenset[int] = frozenset()  # no status for which a request is sent again
# Planted wherever a secret may stand; no log, metric, status or print may show one of them.
SECRETS = [box.PRIMARY, box.SECONDARY, KEY, V1_TOKEN]


class Stack:
    """Programs of one test, on topics of their own. close() ends them and checks their logs."""

    def __init__(self, broker: Broker, directory: Path, prefix: str):
        self.broker = broker
        self.directory = directory
        self.prefix = prefix
        self.programs: list[Program] = []
        self.config: dict = {
            "version": 1,
            "kafka": {"bootstrap.servers": broker.bootstrap},
            "topics": {"prefix": prefix, "partitions": 6},
            "log": {"format": "json"},
            "admin": {"listen": "127.0.0.1:0"},
            "ingest": {"listen": ["127.0.0.1:0"], "shards": 1, "drain_delay": "100ms"},
            "sources": {
                "box": {
                    "scheme": "box-v2",
                    "keys": [box.PRIMARY, box.SECONDARY],
                    "v1": {"enabled": True, "token": V1_TOKEN},
                }
            },
            "instances": [],
            "relay": {
                "group": prefix + "relay",
                "shards": 1,
                "allow_private_addresses": True,
            },
        }

    @property
    def events(self) -> str:
        return self.prefix + "events"

    @property
    def group(self) -> str:
        return self.config["relay"]["group"]

    def add_instance(
        self,
        receiver: Receiver,
        number: int = INSTANCE,
        path: str = "/cb",
        user: str = "",
        **delivery,
    ) -> dict:
        configuration = {
            "event.notification.enabled": True,
            "event.notification.callback.url": receiver.url(path),
            "event.notification.signature.key": KEY,
        }
        if user:
            configuration["oauth.user.id"] = user
        entry = {
            "id": number,
            "name": f"instance-{number}",
            "element": "box",
            "tags": ["Docs"],
            "configuration": configuration,
            "delivery": self.local(receiver, **delivery),
            "subscriptions": [],
        }
        self.config["instances"].append(entry)
        return entry

    @staticmethod
    def local(receiver: Receiver, **delivery) -> dict:
        """Delivery options that allow plain HTTP to a receiver on loopback."""
        return {
            "allow_http": True,
            "allow_private_addresses": True,
            "ports": [receiver.port],
            **delivery,
        }

    def write(self) -> Path:
        """Writes the configuration as JSON, which is YAML too."""
        path = self.directory / "eventrelay.yaml"
        path.write_text(json.dumps(self.config, indent=2))
        return path

    def start(
        self, service: str, *arguments: str, ready: bool = True, env=None, log_to=None
    ) -> Program:
        program = Program(
            f"eventrelay-{service}",
            ["-c", str(self.write()), *arguments],
            self.directory,
            env,
            log_to,
        )
        self.programs.append(program)
        if ready:
            program.wait_ready()
            program.wait_live()
        return program

    def ingest(self, *arguments: str, **options) -> Program:
        return self.start("ingest", *arguments, **options)

    def relay(self, *arguments: str, **options) -> Program:
        return self.start("relay", *arguments, **options)

    def close(self) -> None:
        for program in self.programs:
            program.kill()
        for program in self.programs:
            code = program.process.returncode
            assert code in (0, 1, 78, -9), f"{program.name} died: {code}\n{program.log()[-4000:]}"
            text = program.log() + program.out_path.read_text(errors="replace")
            for secret in SECRETS:
                assert secret not in text, f"{program.name} told a secret: {secret}"

    # -- Kafka --

    def records(self) -> list[Record]:
        return read_topic(self.broker.bootstrap, self.events)

    def wait_committed(self, seconds: float = 30.0) -> None:
        until(
            lambda: lag(self.broker.bootstrap, self.events, self.group) == 0,
            seconds,
            f"group {self.group} has committed everything",
            pause=0.2,
        )


@dataclass
class Verdict:
    """Compares the events that came out with those that went in."""

    lost: list[str]
    doubles: int
    wrong: list[str]

    def __str__(self) -> str:
        return f"lost {len(self.lost)}, doubles {self.doubles}, wrong {self.wrong[:3]}"


def signed_ok(delivery: Delivery, key: str = KEY) -> bool:
    digest = hmac.new(key.encode(), delivery.body, hashlib.sha256).digest()
    expected = "sha256=" + base64.b64encode(digest).decode()
    return delivery.headers.get("elements-webhook-signature") == expected


def judge(deliveries: list[Delivery], bodies: list[bytes], key: str = KEY) -> Verdict:
    """Signature, bytes and id of each delivery; every body at least once; how many more often."""
    expected = {box.provider_id(raw): raw for raw in bodies}
    times: Counter[str] = Counter()
    ids: dict[str, str] = {}
    wrong: list[str] = []
    for delivery in deliveries:
        message = json.loads(delivery.body)["message"]
        name = message["raw"]["id"]
        event_id = delivery.headers.get("elements-webhook-id", "")
        if not signed_ok(delivery, key):
            wrong.append(f"signature of {name}")
        if name not in expected:
            wrong.append(f"unknown {name}")
        elif expected[name] not in delivery.body:
            wrong.append(f"bytes of {name}")
        if message["eventId"] != event_id or ids.setdefault(name, event_id) != event_id:
            wrong.append(f"id of {name}: {event_id}")
        if 200 <= delivery.status < 300:
            times[name] += 1
    lost = [name for name in expected if not times[name]]
    return Verdict(lost, sum(n - 1 for n in times.values() if n > 1), wrong)


def assert_accepted_once(
    records: list[Record], requests: list[bytes], answers: list[Answer]
) -> None:
    """Every event that got a 202 is in the log, once; none is there twice."""
    times = Counter(box.provider_id(record.value) for record in records)
    accepted = {
        box.provider_id(requests[answer.index].split(b"\r\n\r\n", 1)[1])
        for answer in answers
        if answer.status == 202
    }
    missing = [name for name in accepted if not times[name]]
    twice = [name for name in accepted if times[name] > 1]
    assert not missing, f"{len(missing)} accepted events are not in the log"
    assert not twice, f"{len(twice)} accepted events are in the log twice"


def feed(
    ingest_port: int,
    count: int,
    instance: int = INSTANCE,
    first: int = 0,
    again: frozenset[int] = frozenset({503}),
    **options,
) -> tuple[list[bytes], Load]:
    """Bodies and the started load that sends them as signed Box events. What Kafka had no time for
    is sent again, as a provider does: a broker beside others may once need longer than a request
    waits. `again=ONCE`: nothing is sent again."""
    bodies = [box.body(number) for number in range(first, first + count)]
    requests = [box.v2_request(instance, raw) for raw in bodies]
    load = Load(ingest_port, requests, again=again, **options)
    load.start()
    return bodies, load


def new_stack(broker: Broker, directory: Path, name: str) -> Stack:
    """A stack on topics of its own."""
    plain = "".join(c if c.isalnum() else "-" for c in name)[:60]
    return Stack(broker, directory, f"{plain}.{os.urandom(3).hex()}.")
