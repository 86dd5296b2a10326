"""The console in a browser: real programs, the stand-in Box, a real Kafka, Debian's Chromium."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import box  # noqa: E402
from support.box_provider import (  # noqa: E402
    ORGANIZATION,
    USER,
    Api,
    BoxProvider,
    control_config,
)
from support.broker import DEFAULT_VERSION, Broker, free_port  # noqa: E402
from support.browser import Browser  # noqa: E402
from support.programs import Program  # noqa: E402
from support.receiver import Receiver  # noqa: E402
from support.stack import Stack, new_stack  # noqa: E402
from support.wait import until  # noqa: E402

VERSION = os.environ.get("EVENTRELAY_KAFKA_VERSION", DEFAULT_VERSION)


class Site:
    """The programs behind one console."""

    def __init__(self, stack: Stack, provider: BoxProvider, receiver: Receiver):
        self.stack, self.provider, self.receiver = stack, provider, receiver
        control_config(stack.config, provider, free_port(), receiver.port)
        self.admin = free_port()
        self.url = f"http://127.0.0.1:{self.admin}/console/"
        stack.config["ingest"]["admin"] = {"listen": f"127.0.0.1:{self.admin}"}
        stack.config["topics"]["partitions"] = 3
        stack.config["retry"] = {"delays": ["1s", "2s"]}
        self.ingest: Program | None = None
        self.relay: Program | None = None

    def start(self) -> Site:
        self.start_ingest()
        self.relay = self.stack.relay()
        return self

    def start_ingest(self) -> None:
        self.ingest = self.stack.ingest()
        until(
            lambda: json.loads(self.ingest.get("/api/v1/status")[1])["control"]["role"],
            20,
            "the control role is taken",
        )

    @property
    def api(self) -> Api:
        return Api(self.admin)

    def sign_in(self, browser: Browser) -> None:
        browser.open(self.url)
        browser.fill("User secret", USER)
        browser.fill("Organization secret", ORGANIZATION)
        browser.click("Sign in")
        browser.sees("Sign out")


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    with Broker(VERSION) as broker:
        yield broker


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    one = Browser(tmp_path / "profile")
    yield one
    one.close()


@pytest.fixture
def site(kafka: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    provider = BoxProvider(tmp_path, box.PRIMARY, box.SECONDARY)
    receiver = Receiver()
    stack = new_stack(kafka, tmp_path, request.node.name)
    yield Site(stack, provider, receiver).start()
    stack.close()
    receiver.close()
    provider.close()


@pytest.fixture
def own_site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """On a broker that the test may stop."""
    with Broker(VERSION) as broker:
        provider = BoxProvider(tmp_path, box.PRIMARY, box.SECONDARY)
        receiver = Receiver()
        stack = new_stack(broker, tmp_path, request.node.name)
        yield Site(stack, provider, receiver).start()
        stack.close()
        receiver.close()
        provider.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """A case that failed leaves a picture of what it saw."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and "browser" in getattr(item, "funcargs", {}):
        try:
            item.funcargs["browser"].screenshot(f"failed-{item.name}")
        except Exception as error:  # the browser itself may be what failed
            print(f"no picture: {error}")
