"""The generator of rules and dashboards, and promtool, for the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "helm/generate"))


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / ".ci/promtool", *arguments], capture_output=True, text=True, check=False
    )
