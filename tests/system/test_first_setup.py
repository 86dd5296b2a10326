"""docs/first-setup.md, walked block by block on a real Kafka; the other pages' configurations.

Blocks: `sh run` must end with 0; `sh start` stays up until the end of the page; `text seen` stands
in what the block before it has printed (`text seen in 3`: what step 3 started), `...` is any text.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.broker import Broker, _die_with_parent
from support.programs import BIN, ROOT
from support.receiver import Receiver
from support.stack import Stack, feed
from support.wait import until

PAGE = ROOT / "docs/first-setup.md"


@dataclass
class Block:
    step: str
    info: str
    text: str


def blocks(page: Path) -> list[Block]:
    found, step, info, lines = [], "", None, []
    for line in page.read_text("utf-8").splitlines():
        if info is None and (match := re.match(r"## (\d+)\.", line)):
            step = match.group(1)
        elif match := re.match(r"```(.*)", line):
            if info is None:
                info, lines = match.group(1), []
            else:
                found.append(Block(step, info, "\n".join(lines) + "\n"))
                info = None
        elif info is not None:
            lines.append(line)
    return found


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Walk:
    """A reader with a shell in an empty directory; ports of the page become free ones."""

    def __init__(self, directory: Path, broker: Broker):
        self.directory = directory
        self.started: dict[str, list[tuple[subprocess.Popen, Path]]] = {}
        self.output = directory / "nothing"
        ports = free_ports(4)
        self.instead = {"127.0.0.1:9092": broker.bootstrap}
        for stated, port in zip(("8080", "9000", "9464", "9465"), ports, strict=True):
            self.instead[stated] = str(port)

    def here(self, text: str) -> str:
        pattern = "|".join(rf"\b{re.escape(stated)}\b" for stated in self.instead)
        return re.sub(pattern, lambda match: self.instead[match.group(0)], text)

    def environment(self, text: str) -> dict[str, str]:
        env = {**os.environ, "PATH": f"{BIN}:/usr/bin:/bin"}
        if "eventrelay-ingest" in text:
            env["EVENTRELAY__ADMIN__LISTEN"] = f"127.0.0.1:{self.instead['9464']}"
        if "eventrelay-relay" in text:
            env["EVENTRELAY__ADMIN__LISTEN"] = f"127.0.0.1:{self.instead['9465']}"
        return env

    def shell(self, text: str, output: Path) -> subprocess.Popen:
        with output.open("wb") as file:
            return subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", self.here(text)],
                cwd=self.directory,
                env=self.environment(text),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,
            )

    def take(self, number: int, block: Block) -> None:
        output = self.directory / f"{number}.out"
        if block.info == "sh run":
            process = self.shell(block.text, output)
            try:
                code = process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            assert code == 0, f"{block.text}\nended with {code}:\n{output.read_text()}"
            self.output = output
        elif block.info == "sh start":
            process = self.shell(block.text, output)
            self.started.setdefault(block.step, []).append((process, output))
            self.output = output
        elif block.info == "text seen":
            self.seen(block, self.output)
        elif match := re.fullmatch(r"text seen in (\d+)", block.info):
            self.seen(block, self.started[match.group(1)][-1][1])
        else:
            raise AssertionError(f"a block that nobody runs: {block.info}: {block.text}")

    def seen(self, block: Block, output: Path) -> None:
        for line in self.here(block.text).splitlines():
            pattern = ".*".join(re.escape(part) for part in line.split("..."))
            until(
                lambda wanted=pattern: re.search(wanted, output.read_text(errors="replace")),
                30,
                f"{line!r} in the output of step {block.step}:\n{output.read_text()}",
            )

    def end(self) -> list[str]:
        """Ends what was started, last first; what did not end well is told."""
        bad = []
        started = [pair for each in self.started.values() for pair in each]
        for process, output in reversed(started):
            if process.poll() is not None:
                bad.append(f"ended early with {process.returncode}: {output.read_text()}")
                continue
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                bad.append(f"did not end: {output.read_text()}")
        return bad


@pytest.mark.smoke
def test_first_setup_leads_to_a_verified_callback(
    own_kafka: Broker, tmp_path: Path, report
) -> None:
    walk = Walk(tmp_path, own_kafka)
    begun = time.monotonic()
    try:
        for number, block in enumerate(blocks(PAGE)):
            walk.take(number, block)
    finally:
        bad = walk.end()
    assert not bad, "\n".join(bad)
    report(f"{time.monotonic() - begun:.1f} s from an empty directory to the end of the page")


def test_a_line_that_is_not_printed_is_found(own_kafka: Broker, tmp_path: Path) -> None:
    walk = Walk(tmp_path, own_kafka)
    walk.take(0, Block("1", "sh run", "echo 202 stored\n"))
    walk.take(1, Block("1", "text seen", "202 ...ored\n"))
    with pytest.raises(AssertionError):
        walk.take(2, Block("1", "sh run", "false\n"))
    with pytest.raises(AssertionError):
        walk.take(3, Block("1", "sh", "true\n"))


def test_a_callback_is_what_the_receivers_page_says(stack: Stack, receiver: Receiver) -> None:
    page = (ROOT / "docs/receivers.md").read_text("utf-8")
    (text,) = re.findall(r"^```json\n(.*?)^```$", page, re.M | re.S)
    stack.add_instance(receiver)
    ingest = stack.ingest()
    stack.relay()
    _, load = feed(ingest.port, 1)
    load.finish(20)
    receiver.wait_for(1, 20)
    (delivery,) = receiver.deliveries()

    def shape(value: object) -> object:
        """Members in their order and the kinds of values; what the provider sent is its own."""
        if isinstance(value, dict):
            return [(n, "raw" if n == "raw" else shape(v)) for n, v in value.items()]
        return [shape(each) for each in value] if isinstance(value, list) else type(value)

    assert shape(json.loads(delivery.body)) == shape(json.loads(text))
    for header in ("Content-Type", "User-Agent", "Elements-Webhook-Id", "traceparent"):
        assert header.lower() in delivery.headers and f"`{header}`" in page
    told = json.loads(delivery.body)["message"]["eventId"]
    assert told == delivery.headers["elements-webhook-id"]


def test_every_scheme_is_on_the_page_of_providers(tmp_path: Path) -> None:
    page = (ROOT / "docs/providers.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `([\w-]+)` \| `([\w-]+)`", page, re.M)
    told = subprocess.run(
        [BIN / "eventrelay", "send", "--help"], capture_output=True, text=True, check=True
    ).stdout
    (names,) = re.findall(r"box-v1, or a scheme: ([\w, -]+)", told)
    # Graph signs nothing: its body carries the key, so its row names no header.
    assert "| `microsoftgraph` | `microsoftgraph` | each `clientState` of the body |" in page
    on_page = [*(scheme for _, scheme, _ in rows), "microsoftgraph"]
    assert sorted(on_page) == sorted(names.strip().split(", "))
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZI"
    for element, scheme, header in rows:
        command = [BIN / "eventrelay", "sign", "--scheme", scheme, "--key", key, "--id", "msg"]
        signed = subprocess.run(
            [*command, "--uri", "https://a.example/b"],
            input="{}",
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert re.search(rf"^{header}: ", signed, re.M | re.I), signed
        config = tmp_path / f"{element}.yaml"
        sources = {element: {"keys": [key]}}
        kafka = {"bootstrap.servers": "127.0.0.1:9092"}
        config.write_text(json.dumps({"version": 1, "kafka": kafka, "sources": sources}))
        answer = subprocess.run(
            [BIN / "eventrelay", "check-config", "-c", config], capture_output=True, check=False
        )
        assert answer.returncode == 0, answer.stderr


def test_the_example_loads_as_it_is(tmp_path: Path) -> None:
    command = [BIN / "eventrelay", "check-config", "-c", ROOT / "docs/example.yaml"]
    answer = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_configuration_of_the_readme_is_taken(tmp_path: Path) -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
    assert len(text.splitlines()) <= 12
    (tmp_path / "eventrelay.yaml").write_text(text)
    for name in re.findall(r"\{file: ([\w/.-]+)\}", text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("key\n")
    answer = subprocess.run(
        [BIN / "eventrelay", "check-config", "-c", "eventrelay.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
