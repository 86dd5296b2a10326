"""Builds the image once and runs containers of it with podman, sealed off and small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
SEALED = [
    "--read-only",
    "--cap-drop",
    "all",
    "--security-opt",
    "no-new-privileges",
    "--memory",
    "256m",
    "--cpus",
    "1",
    "--pull=never",
]


class Podman:
    """podman with a store of its own; the image is built from this tree's release programs."""

    def __init__(self, store: Path):
        self.environment = os.environ | {
            "CONTAINERS_CONF": str(store / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(store / "storage.conf"),
        }
        built = subprocess.run(
            [ROOT / "tests/image/build", store], stdout=subprocess.PIPE, text=True, check=False
        )
        assert built.returncode == 0, "the image was not built; see above"
        self.image = built.stdout.split()[-1]

    def __call__(self, *arguments: str, timeout: int = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["podman", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def run(
        self, *command: str, options: list[str] | None = None, timeout: int = 120
    ) -> subprocess.CompletedProcess[str]:
        return self(
            "run",
            "--rm",
            *SEALED,
            *(options or ["--network", "none"]),
            self.image,
            *command,
            timeout=timeout,
        )


@pytest.fixture(scope="session")
def podman() -> Podman:
    cache = os.environ.get("EVENTRELAY_CACHE")
    base = (
        Path(cache)
        if cache
        else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "eventrelay"
    )
    return Podman(base / "containers")
