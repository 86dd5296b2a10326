"""Sizes: files, functions, columns. The named exceptions may only shrink."""

from __future__ import annotations

import re
from typing import Iterator

import exceptions
from tree import File, Tree, check

HEADER_MAX = 150
SOURCE_MAX = 400
TEST_MAX = 600
FUNCTION_MAX = 60
COLUMN_MAX = 100


def _limit(file: File) -> int:
    if file.name.startswith("tests/"):
        return TEST_MAX
    return HEADER_MAX if file.name.endswith(".hpp") else SOURCE_MAX


@check
def files_are_short(tree: Tree) -> Iterator[str]:
    excused = set()
    for file in tree.sources(ends=(".cpp", ".hpp", ".py")):
        if len(file.lines) <= _limit(file):
            continue
        if file.name in exceptions.LONG_FILES:
            excused.add(file.name)
        else:
            yield f"{file.name}: {len(file.lines)} lines, at most {_limit(file)}"
    for name in sorted(set(exceptions.LONG_FILES) - excused):
        if tree.find(name) is not None or (tree.root / ".git").exists():
            yield f"{name}: no longer needs its place in LONG_FILES"
    root = tree.find("CMakeLists.txt")
    if root is not None and len(root.lines) > HEADER_MAX:
        yield f"{root.name}: {len(root.lines)} lines, at most {HEADER_MAX}"


NOT_A_FUNCTION = re.compile(
    r"(if|for|while|switch|do|else|try|catch|\}|namespace|class|struct|enum|union|return|case"
    r"|extern|co_return|co_await|auto|const auto|static constexpr|inline constexpr|constexpr)\b"
)


def functions(file: File) -> Iterator[tuple[int, str, int]]:
    """Line, name and length of each function, told by the indentation that clang-format gives."""
    code = file.code
    for number, line in enumerate(code):
        if not line.endswith("{"):
            continue
        start = number
        while start > 0 and re.search(r"[^;{}:\s]\s*$|::\s*$", code[start - 1]):
            if code[start - 1].startswith("#"):
                break
            start -= 1
        # An initialiser list follows a line that ends in a colon or begins with one.
        head = " ".join(part.strip() for part in code[start : number + 1])
        if NOT_A_FUNCTION.match(head) or "(" not in head or "= {" in head or "](" in head:
            continue
        indent = re.match(r" *", code[start]).group(0)
        for end in range(number + 1, len(code)):
            if re.match(indent + r"\}", code[end]):
                names = re.findall(r"([~\w:]+)\s*\(", head)
                yield start + 1, names[0] if names else "?", end - number - 1
                break


@check
def functions_are_short(tree: Tree) -> Iterator[str]:
    excused = set()
    for file in tree.sources("common", "ingest", "relay", "cli", "bench"):
        for line, name, length in functions(file):
            if length <= FUNCTION_MAX:
                continue
            key = f"{file.name}: {name}"
            if key in exceptions.LONG_FUNCTIONS:
                excused.add(key)
            else:
                yield f"{file.name}:{line}: {name} has {length} lines, at most {FUNCTION_MAX}"
    for key in sorted(set(exceptions.LONG_FUNCTIONS) - excused):
        if tree.find(key.split(":")[0]) is not None or (tree.root / ".git").exists():
            yield f"{key}: no longer needs its place in LONG_FUNCTIONS"


@check
def lines_fit_the_page(tree: Tree) -> Iterator[str]:
    for file in tree.sources(ends=(".cpp", ".hpp", ".py", "CMakeLists.txt")):
        for number, line in enumerate(file.lines, 1):
            if len(line) > COLUMN_MAX and "http" not in line:
                yield f"{file.name}:{number}: {len(line)} columns, at most {COLUMN_MAX}"
