"""Words, coroutine forms, comments and columns that the compiler does not judge."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from typing import Iterator

from tree import File, Tree, check

# Inside `co_await`: a brace or a capturing lambda is destroyed twice by GCC 12.
CO_AWAIT_HAZARD = re.compile(
    r"co_await[^;]*([(,]\s*\[[^\]]+\]\s*(\(|\{|mutable)|[A-Za-z_>(,]\s*\{)", re.S
)

BANNED = {
    r"\bany_io_executor\b": "the executor is concrete (common/http/types.hpp)",
    r"\b(strand|make_strand)\b": "one loop per shard needs no strand",
    r"\busing namespace (?!std::\w*literals|eventrelay)": "name what is used",
    r"\bstd::format\b": "GCC 12 has none; use fmt",
    r"\bstd::expected\b": "use Expected (common/base/expected.hpp)",
    r"\bstd::source_location\b": "clang-tidy 14 cannot parse it",
}

COLUMN_MAX = 100

CLASS = re.compile(r"class\s+(?:alignas\(\w+\)\s+)?(?:\[\[\w+\]\]\s+)?(\w+)")

# Waiting and reading a clock: where it may happen.
CLOCK = re.compile(r"\b(steady_clock|system_clock|high_resolution_clock)::now\b|\bclock_gettime\b")
CLOCK_ALLOWED = ["common/base/clock.cpp", "bench/*", "tests/component/*", "tests/support/*"]
# The relay's time comes through its outside, so that the simulation can set it.
NOW = re.compile(r"\b(monotonic_now|wall_now)\b")
NOW_ALLOWED = ["relay/io/*", "relay/http/*", "relay/real_io.*", "relay/service.cpp"]
SLEEP = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b")
SLEEP_ALLOWED = ["bench/*", "tests/support/*"]


def _allowed(file: File, patterns: list[str]) -> bool:
    return any(fnmatch(file.name, pattern) for pattern in patterns)


@check
def co_await_takes_only_names_and_calls(tree: Tree) -> Iterator[str]:
    for file in tree.sources():
        text = "\n".join(file.code)
        for start in re.finditer(r"\bco_await\b", text):
            end = text.find(";", start.start())
            statement = text[start.start() : end + 1]
            # The body of `if (co_await ...) {` is not part of the expression.
            statement = re.sub(r"\)\s*\{\s*\n.*", ");", statement, flags=re.S)
            if CO_AWAIT_HAZARD.search(statement):
                line = text.count("\n", 0, start.start()) + 1
                yield f"{file.name}:{line}: brace or capturing lambda in co_await; name it first"


@check
def banned_words_are_absent(tree: Tree) -> Iterator[str]:
    for file in tree.sources():
        for line, text in enumerate(file.code, 1):
            for pattern, reason in BANNED.items():
                if match := re.search(pattern, text):
                    yield f"{file.name}:{line}: {match.group(0).strip()}: {reason}"


@check
def nobody_sleeps_or_reads_a_clock(tree: Tree) -> Iterator[str]:
    for file in tree.sources():
        for line, text in enumerate(file.code, 1):
            if CLOCK.search(text) and not _allowed(file, CLOCK_ALLOWED):
                yield f"{file.name}:{line}: clocks are read in common/base/clock.cpp alone"
            if file.name.startswith("relay/") and not _allowed(file, NOW_ALLOWED):
                if NOW.search(text):
                    yield f"{file.name}:{line}: the time comes through relay/io"
            if SLEEP.search(text) and not _allowed(file, SLEEP_ALLOWED):
                yield f"{file.name}:{line}: wait for a condition, do not sleep"
    for file in tree.sources("tests", ends=(".py",)):
        if file.name.startswith("tests/system/"):
            for line, text in enumerate(file.lines, 1):
                if re.search(r"\btime\.sleep\(", text):
                    yield f"{file.name}:{line}: wait for a condition (support/wait.py)"


@check
def headers_say_what_they_are(tree: Tree) -> Iterator[str]:
    for file in tree.sources("common", "ingest", "relay", "cli", "bench"):
        block = file.first_comment
        has_header = tree.find(file.stem + ".hpp") is not None
        if not block:
            if file.name.endswith(".hpp") or not has_header:
                yield f"{file.name}:1: the first line is a comment that says what this is"
            continue
        if not file.name.endswith(".hpp"):
            continue
        if not re.search(r"[.:]( |$)", " ".join(block)):
            yield f"{file.name}:1: the first comment is a sentence"
        if "Thread:" not in " ".join(block):
            yield f"{file.name}:1: the first comment has a line `Thread:`"
        if "#pragma once" not in file.text:
            yield f"{file.name}:1: #pragma once is missing"


@check
def classes_say_their_thread(tree: Tree) -> Iterator[str]:
    """What has behaviour says who may call it; plain data leans on whoever holds it."""
    for file in tree.sources("common", "ingest", "relay", "cli", "bench", ends=(".hpp",)):
        for number, line in enumerate(file.code):
            match = CLASS.match(line)
            if match and _is_definition(file.code, number):
                if "Thread:" not in _comment_above(file.lines, number):
                    name = match.group(1)
                    yield f"{file.name}:{number + 1}: {name} needs a comment with `Thread:`"


@check
def lines_fit_the_page(tree: Tree) -> Iterator[str]:
    for file in tree.sources(ends=(".cpp", ".hpp", ".py", "CMakeLists.txt")):
        for number, line in enumerate(file.lines, 1):
            if len(line) > COLUMN_MAX and "http" not in line:
                yield f"{file.name}:{number}: {len(line)} columns, at most {COLUMN_MAX}"


def _is_definition(code: list[str], number: int) -> bool:
    statement = " ".join(code[number : number + 4])
    head = re.split(r"[{;]", statement, maxsplit=1)[0]
    return statement[len(head) :].startswith("{") and "<" not in head.split(":")[0]


def _comment_above(lines: list[str], number: int) -> str:
    block = []
    number -= 1
    while number >= 0 and re.match(r"\s*(template\b|requires\b)", lines[number]):
        number -= 1
    while number >= 0 and lines[number].lstrip().startswith("//"):
        block.append(lines[number])
        number -= 1
    return "\n".join(reversed(block))
