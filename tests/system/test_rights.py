"""`check-config --connect` names why Kafka can not be used, in one line and within ten seconds."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest
from support.guarded_broker import GuardedBroker
from support.programs import run
from support.stack import Stack, new_stack

PASSWORD = "planted-right-password"


class Strict(GuardedBroker):
    """One that allows its users nothing of its own accord; the plain listener is for whoever sets
    it up."""

    def __init__(self, directory: Path):
        authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
        rules = {"authorizer.class.name": authorizer, "super.users": "User:ANONYMOUS"}
        super().__init__(directory, PASSWORD, rules)

    def allow(self, kind: str, name: str, *operations: str) -> None:
        """To the user, on everything of this kind whose name begins so."""
        done = subprocess.run(
            ["java", "-Xmx64m", "-XX:TieredStopAtLevel=1", "-cp", self.broker.jars + "/*"]
            + ["kafka.admin.AclCommand", "--bootstrap-server", self.broker.bootstrap]
            + ["--add", "--force", "--allow-principal", "User:relay"]
            + ["--resource-pattern-type", "prefixed", f"--{kind}", name]
            + [part for operation in operations for part in ("--operation", operation)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strict]:
    one = Strict(tmp_path_factory.mktemp("strict"))
    yield one
    one.broker.close()


@pytest.fixture
def guarded(strict: Strict, receiver, tmp_path: Path, request) -> Iterator[Stack]:
    stack = new_stack(strict.broker, tmp_path, request.node.name)
    stack.add_instance(receiver)
    path = str(stack.write())
    assert run("eventrelay", "topics", "init", "-c", path).returncode == 0
    yield stack
    stack.close()


def connect(stack: Stack, kafka: dict) -> tuple[int, list[str]]:
    stack.config["kafka"] = kafka
    begin = time.monotonic()
    done = run("eventrelay", "check-config", "--connect", "-c", str(stack.write()), seconds=40)
    assert time.monotonic() - begin < 10
    assert PASSWORD.encode() not in done.stdout + done.stderr
    return done.returncode, done.stderr.decode().splitlines()


@pytest.mark.parametrize("to_tls", [True, False], ids=["plain to TLS", "TLS to plain"])
def test_names_the_other_protocol(guarded: Stack, strict: Strict, to_tls: bool) -> None:
    wrong = (
        {"bootstrap.servers": strict.tls}
        if to_tls
        else {"bootstrap.servers": strict.broker.bootstrap, "security.protocol": "SSL"}
    )
    code, lines = connect(guarded, wrong)
    assert code == 1
    assert "kafka.security.protocol" in lines[-1], lines


def test_names_each_right_that_is_missing(guarded: Stack, strict: Strict) -> None:
    login = {
        "bootstrap.servers": strict.sasl,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "relay",
        "sasl.password": PASSWORD,
    }
    code, lines = connect(guarded, login)
    assert code == 1
    assert any(f'topic "{guarded.events}"' in line and "Describe" in line for line in lines), lines
    assert not any("does not exist" in line for line in lines), lines
    strict.allow("topic", guarded.prefix, "Describe")
    code, lines = connect(guarded, login)
    assert code == 1
    assert any(f'topic "{guarded.events}"' in line and "(Read)" in line for line in lines), lines
    assert any(f'group "{guarded.group}"' in line for line in lines), lines
    assert any("(Write)" in line for line in lines), lines
    strict.allow("topic", guarded.prefix, "Read")
    code, lines = connect(guarded, login)
    assert code == 1
    assert not any("topic " in line and "(Read)" in line for line in lines), lines
    strict.allow("group", guarded.group, "Read")
    strict.allow("topic", guarded.prefix, "Write", "DescribeConfigs")
    code, lines = connect(guarded, login)
    assert code == 0, lines
