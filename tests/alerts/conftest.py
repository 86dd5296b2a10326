"""Both services under load, and Debian's Prometheus and Alertmanager that watch them.

Every duration of the rules is divided by SCALE and everything is scraped each second, so that what
takes hours is seen in minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Iterator

import pytest
import yaml

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "helm/generate")]

import rules  # noqa: E402
from support import box  # noqa: E402
from support.broker import Broker, _die_with_parent, free_port  # noqa: E402
from support.load import Load  # noqa: E402
from support.programs import Program  # noqa: E402
from support.receiver import Receiver  # noqa: E402
from support.stack import Stack, new_stack  # noqa: E402
from support.wait import hold, until  # noqa: E402, F401

SCALE = 30
RATE = 20


class Watch:
    """Prometheus over the two admin listeners, its alerts sent to Alertmanager."""

    def __init__(self, folder: Path, admins: dict[str, int]):
        tools = subprocess.run(
            [ROOT / ".ci/monitoring"], capture_output=True, text=True, check=False
        )
        assert tools.returncode == 0, tools.stderr
        programs = Path(tools.stdout.strip())
        self.port, self.manager_port = free_port(), free_port()
        (folder / "rules.yaml").write_text(rules.text(SCALE))
        (folder / "prometheus.yaml").write_text(
            yaml.safe_dump(
                {
                    "global": {
                        "scrape_interval": "1s",
                        "scrape_timeout": "1s",
                        "evaluation_interval": "1s",
                    },
                    "rule_files": [str(folder / "rules.yaml")],
                    "alerting": {
                        "alertmanagers": [
                            {"static_configs": [{"targets": [f"127.0.0.1:{self.manager_port}"]}]}
                        ]
                    },
                    "scrape_configs": [
                        {
                            "job_name": f"eventrelay-{service}",
                            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                        }
                        for service, port in admins.items()
                    ],
                }
            )
        )
        (folder / "alertmanager.yaml").write_text(
            yaml.safe_dump(
                {
                    "route": {"receiver": "none", "group_wait": "1s", "group_interval": "1s"},
                    "receivers": [{"name": "none"}],
                }
            )
        )
        self.processes = []
        for command in (
            [
                programs / "alertmanager",
                f"--config.file={folder}/alertmanager.yaml",
                f"--storage.path={folder}/alertmanager",
                "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{self.manager_port}",
            ],
            [
                programs / "prometheus",
                f"--config.file={folder}/prometheus.yaml",
                f"--storage.tsdb.path={folder}/prometheus",
                "--rules.alert.resend-delay=1s",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
        ):
            with (folder / f"{command[0].name}.log").open("wb") as log:
                self.processes.append(
                    subprocess.Popen(
                        command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent
                    )
                )
        until(self.ready, 30, "Prometheus and Alertmanager are ready")
        self.seen: set[str] = set()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def ask(self, port: int, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return json.loads(answer.read())

    def ready(self) -> bool:
        try:
            targets = self.ask(self.port, "/api/v1/targets")["data"]["activeTargets"]
            self.ask(self.manager_port, "/api/v2/status")
        except OSError:
            return False
        return len(targets) == 2 and all(target["health"] == "up" for target in targets)

    def query(self, text: str) -> list[dict[str, Any]]:
        path = "/api/v1/query?" + urllib.parse.urlencode({"query": text})
        return self.ask(self.port, path)["data"]["result"]

    def firing(self) -> set[str]:
        alerts = self.ask(self.port, "/api/v1/alerts")["data"]["alerts"]
        return {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"}

    def told(self) -> dict[str, dict[str, Any]]:
        """What Alertmanager has now, by name."""
        alerts = self.ask(self.manager_port, "/api/v2/alerts?active=true")
        return {a["labels"]["alertname"]: a for a in alerts}

    def look(self) -> None:
        while not self.ended.wait(0.5):
            try:
                self.seen |= self.firing()
            except OSError:
                pass

    def close(self) -> None:
        self.ended.set()
        for process in self.processes:
            process.terminate()
            process.wait(20)


class Scene:
    """The services, their traffic, and what may be done to them."""

    def __init__(self, broker: Broker, stack: Stack, receiver: Receiver, folder: Path):
        self.broker, self.stack, self.receiver = broker, stack, receiver
        self.admins = {"ingest": free_port(), "relay": free_port()}
        stack.config["retry"] = {"delays": ["1s", "5s", "30s"], "jitter": 0}
        self.instances = (1001, 1002, 1003)
        for number, path in zip(self.instances, ("/good", "/bad", "/dead")):
            stack.add_instance(receiver, number, path, fatal_statuses=[422])
        self.ingest = stack.ingest("--set", f"admin.listen=127.0.0.1:{self.admins['ingest']}")
        self.relay = self.start_relay()
        self.port = self.ingest.port
        self.load = self.traffic()
        # The first answers of all wait until Kafka's topics are known.
        until(lambda: receiver.count("/good") > 5 * RATE, 60, "events are delivered")
        self.watch = Watch(folder, self.admins)

    def start_relay(self) -> Program:
        """After a kill the group waits until the dead member's session is over."""
        relay = self.stack.relay(
            "--set", f"admin.listen=127.0.0.1:{self.admins['relay']}", ready=False
        )
        return relay.wait_ready(90).wait_live(90)

    def traffic(self) -> Load:
        """Events of two instances in turn; a signature is good for ten minutes."""
        requests = [
            box.v2_request(self.instances[number % 2], box.body(number))
            for number in range(RATE * 590)
        ]
        load = Load(self.port, requests, connections=8, rate=RATE)
        load.start()
        return load

    def send_one(self, instance: int, number: int) -> None:
        load = Load(
            self.port,
            [box.v2_request(instance, box.body(number))],
            connections=1,
            again=frozenset({503, 0}),
        )
        load.start()
        load.finish(30)

    def close(self) -> None:
        self.load.stop()
        self.watch.close()
        self.load.join(30)


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("alerts")
    with Broker() as broker:
        receiver = Receiver()
        stack = new_stack(broker, folder, "alerts")
        found = Scene(broker, stack, receiver, folder)
        try:
            yield found
        finally:
            found.close()
            for program in stack.programs:
                program.kill()
            receiver.close()
