"""Brokers that refuse us, and brokers that close what is idle: a cause that waiting will not mend
is named at once, and what is no news makes no line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Iterator

import pytest
from support.guarded_broker import GuardedBroker
from support.programs import run
from support.stack import Stack, new_stack
from support.wait import hold, until

PASSWORD = "the-right-password"
WRONG = "planted-wrong-password"


class Guarded(GuardedBroker):
    """One that closes what is idle."""

    def __init__(self, directory: Path):
        super().__init__(directory, PASSWORD, {"connections.max.idle.ms": "3000"})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    one = Guarded(tmp_path_factory.mktemp("guarded"))
    yield one
    one.broker.close()


@pytest.fixture
def closed(guarded: Guarded, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    stack = new_stack(guarded.broker, tmp_path, request.node.name)
    yield stack
    stack.close()


def kafka_of(guarded: Guarded, case: str) -> dict:
    sasl = {
        "bootstrap.servers": guarded.sasl,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "relay",
    }
    if case == "password":
        return sasl | {"sasl.password": WRONG}
    if case == "mechanism":
        return sasl | {"sasl.mechanism": "SCRAM-SHA-256", "sasl.password": WRONG}
    if case == "authority":
        return {"bootstrap.servers": guarded.tls, "security.protocol": "SSL"}
    return {}


@pytest.mark.parametrize(
    "case, holds",
    [
        ("password", ["uthentication failed", "kafka.sasl"]),
        ("mechanism", ["SCRAM-SHA-256", "kafka.sasl"]),
        ("authority", ["certificate verify failed", "kafka.ssl"]),
    ],
)
def test_a_refusal_is_named_at_once(closed: Stack, receiver, guarded, case, holds) -> None:
    closed.add_instance(receiver)
    closed.config["kafka"] = kafka_of(guarded, case)
    path = str(closed.write())
    for command in (("topics", "check"), ("check-config", "--connect")):
        begin = time.monotonic()
        done = run("eventrelay", *command, "-c", path, seconds=40)
        assert time.monotonic() - begin < 8, command
        assert done.returncode == 1, done
        last = done.stderr.decode().splitlines()[-1]
        for text in holds:
            assert text in last, (command, done.stderr.decode())
        assert "check that the brokers run" not in done.stderr.decode()
        assert WRONG.encode() not in done.stderr + done.stdout
    # A service lives on: the refusal may be mended at the brokers' side.
    for service in ("ingest", "relay"):
        program = closed.start(service, ready=False)
        said = until(
            lambda one=program: one.said("Kafka is not reached, the service waits for it"),
            8,
            "the refusal is told",
        )
        assert all(text in said[-1]["reason"] for text in holds), said
        hold(3, program.alive, "it lives")
        assert len(program.lines()) <= 8 and WRONG not in program.log(), program.log()


def test_the_right_access_works_and_idle_closing_is_silent(closed, receiver, guarded) -> None:
    closed.add_instance(receiver)
    closed.config["kafka"] = kafka_of(guarded, "password") | {"sasl.password": PASSWORD}
    ingest = closed.ingest()
    closed.config["kafka"] = kafka_of(guarded, "authority") | {
        "ssl.ca.location": str(guarded.authority.cert)
    }
    relay = closed.relay()
    hold(3)  # the partitions are taken over
    before = len(ingest.lines()), len(relay.lines())
    # The broker closes each idle connection after three seconds, many times over.
    hold(20)
    for program, lines in ((ingest, before[0]), (relay, before[1])):
        assert [line for line in program.lines()[lines:] if line.get("level") != "info"] == []
        assert len(program.lines()) - lines <= 2, program.lines()[lines:]
        assert program.get("/readyz")[0] == 200
