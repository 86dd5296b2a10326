"""What every system test starts from: a real broker per worker, a receiver and a stack per test."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Callable, Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import box  # noqa: E402
from support.box_provider import BoxProvider, control_config  # noqa: E402
from support.broker import DEFAULT_VERSION, Broker, free_port  # noqa: E402
from support.kafka_log import remove_topics  # noqa: E402
from support.receiver import Receiver  # noqa: E402
from support.stack import Stack, new_stack  # noqa: E402

VERSION = os.environ.get("EVENTRELAY_KAFKA_VERSION", DEFAULT_VERSION)


class Figures:
    """Prints what the tests found out, whichever process they ran in."""

    def __init__(self, config: pytest.Config):
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":
            return
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        for name, text in report.user_properties:
            if name == "figure":
                terminal.write_line(f"\n  {report.nodeid.rpartition('::')[2]}: {text}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "smoke: also run against other versions of Kafka")
    config.addinivalue_line("markers", "kills: each step once, and thrice with the nightly tier")
    config.addinivalue_line("markers", "long: minutes of work, run with the nightly tier")
    config.addinivalue_line("markers", "alone: measures, so no other test may run beside it")
    # A worker only hands its figures on; the process that is watched prints them.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Figures(config))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    with Broker(VERSION) as broker:
        yield broker


@pytest.fixture
def own_kafka() -> Iterator[Broker]:
    """A broker that a test may stop and kill."""
    with Broker(VERSION) as broker:
        yield broker


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def stack(kafka: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    assert kafka.nodes[0].alive(), f"the shared broker ended:\n{kafka.nodes[0].log_end()}"
    made = new_stack(kafka, tmp_path, request.node.name)
    yield made
    made.close()
    remove_topics(kafka.bootstrap, made.prefix)


@pytest.fixture
def own_stack(own_kafka: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    made = new_stack(own_kafka, tmp_path, request.node.name)
    yield made
    made.close()


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[BoxProvider]:
    """The stand-in Box."""
    one = BoxProvider(tmp_path, box.PRIMARY, box.SECONDARY)
    yield one
    one.close()


@pytest.fixture
def tour(stack: Stack, provider: BoxProvider, receiver: Receiver) -> Stack:
    """Ingest with the control API, and a relay, around the registry in Kafka."""
    control_config(stack.config, provider, free_port(), receiver.port)
    return stack


@pytest.fixture
def own_tour(own_stack: Stack, provider: BoxProvider, receiver: Receiver) -> Stack:
    """As `tour`, on a broker that the test may stop and kill."""
    control_config(own_stack.config, provider, free_port(), receiver.port)
    return own_stack


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tells a figure of a test, seen in every run: `name: text`."""

    def tell(text: str) -> None:
        request.node.user_properties.append(("figure", text))

    return tell
