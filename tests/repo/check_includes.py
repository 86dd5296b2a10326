"""Who may include what: directions between folders, third parties, and the pure policy folders."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from typing import Iterator

from tree import PRODUCT, Tree, check

# Top folder -> top folders whose files it may include; within them the CMake lists decide.
MAY_INCLUDE = {
    "common": {"common"},
    "ingest": {"common", "ingest"},
    "relay": {"common", "relay"},
    "cli": {"common", "ingest", "relay", "cli", "bench"},
    "bench": {"common", "ingest", "relay", "bench"},
    "tests": {"common", "ingest", "relay", "cli", "bench", "tests"},
}

PLACE = ("common", "ingest", "relay", "bench", "cli")

# third party -> folders that may include it (besides the limit programs and tests, see below)
THIRD_PARTY = {
    "librdkafka/": ["common/kafka/*", "common/observe/kafka_version.cpp"],
    "ares.h": ["relay/http/cares_names.cpp"],
    "openssl/": ["common/base/*", "common/http/*"],
    "boost/asio/ssl": ["common/http/*"],
    "simdjson": ["common/text/*"],
    "boost/beast": ["common/http/*", "common/process/*", "ingest/*", "relay/http/*", "cli/*"],
    "yaml.h": ["common/config/*"],
    "spdlog/": ["common/observe/*"],
    "prometheus/": ["common/observe/*"],
    "CLI/": ["common/process/*", "cli/*", "bench/*"],
}
# The limit programs stand alone on purpose, to be compared with; tests may drive a library's side.
STAND_ALONE = ["bench/limits/*", "tests/*"]

# Policy: input and time in, verdict out. No loop, socket, clock, random, metric or exception.
PURE = [
    "common/base/event*",
    "common/text/*",
    "common/providers/*",
    "ingest/input_buffer*.[ch]pp",
    "ingest/gate*.[ch]pp",
    "ingest/admission*.[ch]pp",
    "ingest/routes*.[ch]pp",
    "ingest/receive*.[ch]pp",
    "relay/record/job*.[ch]pp",
    "relay/backlog/cursor/*",
    "relay/dispatch/*",
    "relay/request/*",
    "relay/log/duplicate_window*.[ch]pp",
    "relay/log/offset_ledger*.[ch]pp",
    "common/config/endpoint_guard*.[ch]pp",
    "relay/http/delivery*.[ch]pp",
    "relay/http/retry_after*.[ch]pp",
    "relay/http/address_order*.[ch]pp",
    "relay/http/pool_slot*.[ch]pp",
    "relay/backlog/ownership*.[ch]pp",
    "relay/backlog/state_follower*.[ch]pp",
    "relay/backlog/catch_up_plan*.[ch]pp",
]
IMPURE_INCLUDES = re.compile(
    r"^(boost/asio|boost/beast|librdkafka/|thread|mutex|atomic|condition_variable|sys/|unistd"
    r"|common/(http/|kafka/|process/|observe/(metrics\.hpp|log)))"
)
IMPURE_WORDS = re.compile(
    r"\b(monotonic_now|wall_now|random_device|rand|getenv|throw)\b|::now\s*\(|\btry\s*\{"
    r"|\bstd::(thread|mutex|atomic)\b"
)
# Built from the configuration: what cannot be built stops the start or the reload.
THROWS_AT_START = [
    "common/providers/scheme*",
    "ingest/receive*",
    "relay/request/signer*",
    "relay/request/outgoing_head*",
    "relay/dispatch/retry.*",
]


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def libraries(tree: Tree) -> dict[str, tuple[str, list[str]]]:
    """Each library of ours: its folder and the libraries of ours that its CMake list links."""
    found = {}
    for file in tree.files:
        if not file.name.endswith("CMakeLists.txt") or file.name.split("/")[0] not in PRODUCT:
            continue
        text = re.sub(r"#[^\n]*", "", file.text)
        for name, body in re.findall(r"eventrelay_library\((\w+)(.*?)\)", text, flags=re.S):
            links = re.findall(r"eventrelay::(\w+)", body.split("LINK")[-1])
            found[name] = (file.folder, links)
        for name in re.findall(r"add_library\(eventrelay_(\w+) INTERFACE\)", text):
            body = re.search(rf"target_link_libraries\(eventrelay_{name}\b(.*?)\)", text, re.S)
            links = re.findall(r"eventrelay::(\w+)", body.group(1)) if body else []
            found.setdefault(name, (file.folder, links))
    return found


def reach(known: dict[str, tuple[str, list[str]]], name: str) -> set[str]:
    """Folders that a library links, directly or not, and its own."""
    seen: set[str] = set()
    todo = [name]
    while todo:
        each = todo.pop()
        if each in seen or each not in known:
            continue
        seen.add(each)
        todo.extend(known[each][1])
    return {known[each][0] for each in seen}


def owner(tree: Tree, folder: str) -> str:
    """The folder itself, or the nearest one above it that has a CMake list."""
    while folder and tree.find(f"{folder}/CMakeLists.txt") is None:
        folder = folder.rsplit("/", 1)[0] if "/" in folder else ""
    return folder


def arrows(tree: Tree) -> dict[str, set[str]]:
    """Folder -> the folders whose headers its files include; programs' main files apart."""
    found: dict[str, set[str]] = {}
    for file in tree.sources(*PRODUCT, "bench"):
        here = owner(tree, file.folder)
        if not here or file.name.endswith("/main.cpp"):
            continue
        found.setdefault(here, set())
        for _, name in file.includes:
            if name.split("/")[0] in MAY_INCLUDE and "/" in name and tree.find(name):
                there = owner(tree, name.rsplit("/", 1)[0])
                if there and there != here:
                    found[here].add(there)
    return found


def circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Each way that comes back to where it began, told once."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> Iterator[list[str]]:
        if name in path:
            yield [*path[path.index(name) :], name]
            return
        if name in done:
            return
        for other in sorted(graph.get(name, ())):
            yield from visit(other, [*path, name])
        done.add(name)

    for name in sorted(graph):
        yield from visit(name, [])


def drawing(tree: Tree) -> str:
    """One line a folder, below all that it includes; arrows that others imply are left out."""
    graph = arrows(tree)
    if any(circles(graph)):
        return "there is a circle\n"
    order: list[str] = []
    deep: dict[str, set[str]] = {}

    def visit(name: str) -> None:
        if name in deep:
            return
        for other in sorted(graph.get(name, ())):
            visit(other)
        deep[name] = set().union(*(deep[o] | {o} for o in graph.get(name, ())))
        order.append(name)

    for name in sorted(graph, key=lambda folder: (PLACE.index(folder.split("/")[0]), folder)):
        visit(name)
    width = max((len(name) for name in order), default=0)
    lines = []
    for name in order:
        implied = set().union(*(deep[other] for other in graph[name]))
        direct = sorted(graph[name] - implied, key=order.index)
        lines.append(f"{name:{width}} -> {', '.join(direct)}" if direct else name)
    return "\n".join(lines) + "\n"


@check
def includes_follow_the_flow(tree: Tree) -> Iterator[str]:
    for file in tree.sources():
        allowed = MAY_INCLUDE[file.name.split("/")[0]]
        for line, name in file.includes:
            folder = name.split("/")[0]
            if "/" in name and folder in MAY_INCLUDE and folder not in allowed:
                yield f"{file.name}:{line}: {file.name.split('/')[0]} may not include {folder}"


@check
def folders_include_what_they_link(tree: Tree) -> Iterator[str]:
    known = libraries(tree)
    folder_library = {folder: name for name, (folder, _) in known.items() if name != "common"}
    reached = {folder: reach(known, name) for folder, name in folder_library.items()}
    for file in tree.sources(*PRODUCT):
        if file.folder not in reached or file.name.endswith("/main.cpp"):
            continue
        for line, name in file.includes:
            folder = name.rsplit("/", 1)[0] if "/" in name else ""
            if folder in folder_library and folder not in reached[file.folder]:
                yield (
                    f"{file.name}:{line}: {file.folder} does not link {folder}; "
                    f"an arrow there needs a line in {file.folder}/CMakeLists.txt"
                )


@check
def links_have_no_circle(tree: Tree) -> Iterator[str]:
    known = libraries(tree)
    for circle in circles({name: set(links) for name, (_, links) in known.items()}):
        yield f"{known[circle[0]][0]}/CMakeLists.txt: links go round: {' > '.join(circle)}"


@check
def includes_have_no_circle(tree: Tree) -> Iterator[str]:
    for circle in circles(arrows(tree)):
        yield f"{circle[0]}: includes go round: {' > '.join(circle)}"


@check
def third_parties_stay_behind_one_header(tree: Tree) -> Iterator[str]:
    for file in tree.sources():
        if _matches(file.name, STAND_ALONE):
            continue
        for line, name in file.includes:
            for prefix, allowed in THIRD_PARTY.items():
                if name.startswith(prefix) and not _matches(file.name, allowed):
                    yield f"{file.name}:{line}: <{name}> belongs to {', '.join(allowed)}"


@check
def policy_files_are_pure(tree: Tree) -> Iterator[str]:
    for file in tree.sources("common", "ingest", "relay"):
        if not _matches(file.name, PURE):
            continue
        for line, name in file.includes:
            if IMPURE_INCLUDES.search(name):
                yield f"{file.name}:{line}: a policy may not include {name}"
        for line, text in enumerate(file.code, 1):
            match = IMPURE_WORDS.search(text)
            if match and not (match.group(0) == "throw" and _matches(file.name, THROWS_AT_START)):
                yield f"{file.name}:{line}: a policy may not use {match.group(0).strip()}"


@check
def rules_name_what_is_there(tree: Tree) -> Iterator[str]:
    """A rule for a file that was renamed would hold for nothing, in silence."""
    if not (tree.root / ".git").exists() and tree.find("rules") is None:
        return
    names = [file.name for file in tree.files]
    lists = {"PURE": PURE, "THROWS_AT_START": THROWS_AT_START, "STAND_ALONE": STAND_ALONE}
    lists |= {f"THIRD_PARTY[{party}]": allowed for party, allowed in THIRD_PARTY.items()}
    for rule, patterns in lists.items():
        for pattern in patterns:
            if not any(fnmatch(name, pattern) for name in names):
                yield f"check_includes.py: {rule} names {pattern}, which matches no file"
