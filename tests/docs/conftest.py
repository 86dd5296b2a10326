"""The pages of the project as text, blocks and links, and the programs their commands use."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("EVENTRELAY_BIN", ROOT / "build/release/bin"))
PAGES = sorted(
    ROOT / line
    for line in subprocess.run(
        ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its words after the fence, its text, and the line it begins at."""

    page: Path
    info: str
    text: str
    line: int


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    found, info, lines, begun = [], None, [], 0
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if match := re.match(r"\s*```(.*)", line):
            if info is None:
                info, lines, begun = match.group(1).strip(), [], number
            else:
                found.append(Block(page, info, "\n".join(lines) + "\n", begun))
                info = None
        elif info is not None:
            lines.append(line)
    assert info is None, f"{name(page)}:{begun}: a block that does not end"
    return found


def prose(page: Path) -> str:
    """The page without its blocks."""
    return re.sub(r"^\s*```.*?^\s*```", "", page.read_text("utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, made as the usual renderers make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?)\s*$", prose(page), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = 1
        unique = anchor
        while unique in found:
            unique = f"{anchor}-{number}"
            number += 1
        found.add(unique)
    return found


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^()\s]+)\)", prose(page))


@cache
def help_of(*command: str) -> str:
    answer = subprocess.run(
        [BIN / "eventrelay", *command, "--help"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@cache
def tools() -> Path:
    answer = subprocess.run(
        [ROOT / ".ci/chart-tools"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert answer.returncode == 0, answer.stderr
    return Path(answer.stdout.strip())
