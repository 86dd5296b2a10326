"""Who may include what: directions between folders, third parties, and the pure policy files."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from typing import Iterator

from tree import Tree, check

# folder -> folders of ours that its files may include
MAY_INCLUDE = {
    "common": {"common"},
    "ingest": {"common", "ingest"},
    "relay": {"common", "relay"},
    "cli": {"common", "ingest", "relay", "cli", "bench"},
    "bench": {"common", "ingest", "relay", "bench"},
    "tests": {"common", "ingest", "relay", "cli", "bench", "tests"},
}

# third party -> files that may include it (besides the limit programs and tests, see below)
THIRD_PARTY = {
    "librdkafka/": ["common/kafka/*"],
    "openssl/": ["common/crypto*.cpp", "common/http/*tls*"],
    "boost/asio/ssl": ["common/http/*"],
    "simdjson": ["common/json*"],
    "boost/beast": [
        "common/http/*",
        "common/admin*.cpp",
        "ingest/session*",
        "ingest/head_parser*",
        "relay/answer*",
        "relay/response*",
        "relay/http_pool*",
        "relay/deliverer*",
        "cli/*",
        "bench/load/*",
    ],
    "yaml-cpp/": ["common/config*"],
    "spdlog/": ["common/log*"],
    "prometheus/": ["common/metrics*"],
    "CLI/": ["common/runtime*.cpp", "common/program*.cpp", "cli/*", "bench/*"],
}
# The limit programs stand alone on purpose, to be compared with; tests may drive a library's side.
STAND_ALONE = ["bench/limits/*", "tests/*"]

# Policy: input and time in, verdict out. No loop, socket, clock, chance, metric or exception.
PURE = [
    "common/event*.[ch]pp",
    "common/offset*.[ch]pp",
    "ingest/input_buffer*.[ch]pp",
    "ingest/gate*.[ch]pp",
    "ingest/admission*.[ch]pp",
    "ingest/routes*.[ch]pp",
    "ingest/receive*.[ch]pp",
    "ingest/verify/*.[ch]pp",
    "ingest/handshake*.[ch]pp",
    "ingest/normalizer*.[ch]pp",
    "relay/job*.[ch]pp",
    "relay/text_hash.hpp",
    "relay/lane.[ch]pp",
    "relay/due_heap*.[ch]pp",
    "relay/scheduler*.[ch]pp",
    "relay/ordering*.[ch]pp",
    "relay/turns*.[ch]pp",
    "relay/budget*.[ch]pp",
    "relay/circuit_breaker*.[ch]pp",
    "relay/slow_start*.[ch]pp",
    "relay/slots*.[ch]pp",
    "relay/duplicate_window*.[ch]pp",
    "relay/format*.[ch]pp",
    "relay/form_json*.[ch]pp",
    "relay/signer*.[ch]pp",
    "relay/request_head*.[ch]pp",
    "relay/endpoint_guard*.[ch]pp",
    "relay/delivery*.[ch]pp",
    "relay/pool_slot*.[ch]pp",
    "relay/retry*.[ch]pp",
    "relay/state_record*.[ch]pp",
    "relay/offset_set*.[ch]pp",
    "relay/cursor*.[ch]pp",
    "relay/take_over*.[ch]pp",
    "relay/state_follower*.[ch]pp",
    "relay/sweep_plan*.[ch]pp",
    "relay/offset_ledger*.[ch]pp",
]
IMPURE_INCLUDES = re.compile(
    r"^(boost/asio|boost/beast|librdkafka/|thread|mutex|atomic|condition_variable|sys/|unistd"
    r"|common/(http|kafka|runtime|metrics\.hpp|log|admin))"
)
IMPURE_WORDS = re.compile(
    r"\b(monotonic_now|wall_now|random_device|rand|getenv|throw)\b|::now\s*\(|\btry\s*\{"
    r"|\bstd::(thread|mutex|atomic)\b"
)
# Built from the configuration: what cannot be built stops the start or the reload.
THROWS_AT_START = [
    "ingest/verify/scheme*",
    "ingest/receive*",
    "relay/signer*",
    "relay/request_head*",
    "relay/retry.*",
]


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


@check
def includes_follow_the_flow(tree: Tree) -> Iterator[str]:
    for file in tree.sources():
        allowed = MAY_INCLUDE[file.name.split("/")[0]]
        for line, name in file.includes:
            folder = name.split("/")[0]
            if "/" in name and folder in MAY_INCLUDE and folder not in allowed:
                yield f"{file.name}:{line}: {file.name.split('/')[0]} may not include {folder}"


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
