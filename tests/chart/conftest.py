"""Renders the chart with both majors of Helm and hands out what came."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))
MAJORS = ("3", "4")
ROLES = ("ingest", "relay", "control")
Object = dict[str, Any]


@cache
def tools() -> Path:
    """Helm, kubectl and the schemas; fetched the first time."""
    answer = subprocess.run(
        [ROOT / ".ci/chart-tools"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert answer.returncode == 0, answer.stderr
    return Path(answer.stdout.strip())


def helm(major: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tools() / f"helm{major}", *arguments], capture_output=True, text=True, check=False
    )


@dataclass
class Rendered:
    """The objects that one set of values makes."""

    text: str

    def __post_init__(self) -> None:
        self.objects: list[Object] = [o for o in yaml.safe_load_all(self.text) if o]

    def of(self, kind: str) -> list[Object]:
        return [o for o in self.objects if o["kind"] == kind]

    def one(self, kind: str, name_end: str = "") -> Object:
        found = [o for o in self.of(kind) if o["metadata"]["name"].endswith(name_end)]
        assert len(found) == 1, f"{kind} *{name_end}: {[o['metadata']['name'] for o in found]}"
        return found[0]

    def workload(self, role: str) -> Object:
        found = [
            o
            for o in self.objects
            if o["kind"] in ("Deployment", "StatefulSet")
            and o["metadata"]["labels"]["app.kubernetes.io/component"] == role
        ]
        assert len(found) == 1, f"{role}: {len(found)} workloads"
        return found[0]

    def pods(self) -> list[Object]:
        """The specification of every pod, hooks too."""
        specs = [o["spec"] for o in self.of("Pod")]
        for kind in ("Deployment", "StatefulSet", "Job"):
            specs += [o["spec"]["template"]["spec"] for o in self.of(kind)]
        return specs

    def containers(self) -> list[Object]:
        return [
            c for spec in self.pods() for c in spec["containers"] + spec.get("initContainers", [])
        ]

    def container(self, role: str) -> Object:
        return self.workload(role)["spec"]["template"]["spec"]["containers"][0]

    def config(self) -> Object:
        return yaml.safe_load(self.one("ConfigMap", "-config")["data"]["config.yaml"])


def render(values: Any = None, major: str = "3", *arguments: str) -> Rendered:
    """What `helm template` makes of the values: a map, a path, or text."""
    answer = template(values, major, *arguments)
    assert answer.returncode == 0, answer.stderr
    return Rendered(answer.stdout)


def template(
    values: Any = None, major: str = "3", *arguments: str
) -> subprocess.CompletedProcess[str]:
    command = [str(tools() / f"helm{major}"), "template", "rel", str(CHART), "--namespace", "ns"]
    if isinstance(values, Path):
        return subprocess.run(
            [*command, "--values", values, *arguments], capture_output=True, text=True, check=False
        )
    text = values if isinstance(values, str) else yaml.safe_dump(values or {})
    return subprocess.run(
        [*command, "--values", "-", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
