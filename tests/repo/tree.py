"""The files of a tree as the checks see them, and the list of all checks."""

from __future__ import annotations

import re
import subprocess
from functools import cached_property
from pathlib import Path
from typing import Callable, Iterator

PRODUCT = ("common", "ingest", "relay", "cli")
CODE = (*PRODUCT, "bench", "tests")

# One finding per line: `file:line: what is wrong and what to do`.
Check = Callable[["Tree"], Iterator[str]]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


def blank(text: str, strings: bool = True) -> str:
    """The same text, line by line, with comments (and string literals) replaced by spaces."""
    pattern = r'//[^\n]*|/\*.*?\*/|R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\''

    def wipe(match: re.Match[str]) -> str:
        found = match.group(0)
        if found.startswith(("//", "/*")) or strings:
            keep = '""' if found[0] in "R\"'" else ""
            return keep + re.sub(r"[^\n]", " ", found[len(keep) :])
        return found

    # A digit separator looks like a quote: 500'000.
    text = re.sub(r"(?<=\d)'(?=\d)", "_", text)
    return re.sub(pattern, wipe, text, flags=re.S)


class File:
    def __init__(self, root: Path, name: str):
        self.name = name
        self.path = root / name
        self.stem = name.rsplit(".", 1)[0]
        self.folder = name.rsplit("/", 1)[0] if "/" in name else ""

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8", errors="replace")

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def code(self) -> list[str]:
        """Lines without comments and strings."""
        return blank(self.text).splitlines()

    @cached_property
    def includes(self) -> list[tuple[int, str]]:
        found = []
        for number, line in enumerate(blank(self.text, strings=False).splitlines(), 1):
            if match := re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line):
                found.append((number, match.group(1)))
        return found

    @cached_property
    def first_comment(self) -> list[str]:
        block = []
        for line in self.lines:
            if not line.startswith("//"):
                break
            block.append(line.removeprefix("//").strip())
        return block


class Tree:
    def __init__(self, root: Path):
        self.root = root

    @cached_property
    def files(self) -> list[File]:
        if (self.root / ".git").exists():
            names = self.git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
        else:
            names = [str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()]
        return [File(self.root, n) for n in sorted(set(names)) if (self.root / n).is_file()]

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(self.root), *arguments], capture_output=True, text=True, check=True
        ).stdout

    def find(self, name: str) -> File | None:
        return next((file for file in self.files if file.name == name), None)

    def sources(self, *folders: str, ends: tuple[str, ...] = (".cpp", ".hpp")) -> Iterator[File]:
        for file in self.files:
            if file.name.endswith(ends) and file.name.split("/")[0] in (folders or CODE):
                yield file
