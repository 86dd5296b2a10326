"""What one scenario leaves behind, as plain data: the four logs that the checker reads.

Why:    judged afterwards, from what was written down by the parties, never by the programs' word.
Times:  Unix seconds; load, receivers and brokers share one machine and thus one clock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple


def digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


class Answer(NamedTuple):
    """One try of a request: its number, what came back (0: nothing), the event ids of a 202."""

    request: int
    status: int
    ids: tuple[str, ...] = ()


class Logged(NamedTuple):
    """One record of a topic; `topic` is its name without the prefix."""

    topic: str
    partition: int
    offset: int
    at: float
    headers: dict[str, str]
    digest: bytes = b""
    key: str = ""
    value: bytes | None = None  # kept for `state` only; None there: deleted

    @property
    def id(self) -> str:
        return self.headers.get("er-id", "")

    @property
    def object(self) -> str | None:
        return self.headers.get("er-object-id")


class Got(NamedTuple):
    """One request that a receiver read to its end, in the order of reading."""

    sub: str
    event: str
    attempt: int
    status: int  # what was answered; 0: the connection was ended, or nothing was said
    at: float  # when it was read
    done: float  # when it was answered
    digest: bytes
    signed: bool
    stamp: float | None = None  # the signed timestamp


class Commit(NamedTuple):
    """One commit as the broker took it, in the order of taking."""

    group: str
    topic: str
    partition: int
    offset: int
    metadata: str
    at: float


class Sample(NamedTuple):
    """Resources of one process at one moment."""

    program: str
    at: float
    rss: int
    fds: int
    threads: int
    queued: int = 0  # bytes by its own metric


@dataclass
class Subscription:
    id: str
    instance: str
    ordering: str = "none"  # none, object, instance
    types: frozenset[str] | None = None  # filter by event type


@dataclass
class Logs:
    """All of one scenario. Partitions are those of `events` unless a topic is named."""

    requests: dict[int, tuple[str, bytes]] = field(default_factory=dict)  # -> provider id, digest
    answers: list[Answer] = field(default_factory=list)
    events: list[Logged] = field(default_factory=list)
    parked: list[Logged] = field(default_factory=list)  # all delay topics
    dead: list[Logged] = field(default_factory=list)
    state: list[Logged] = field(default_factory=list)
    starts: dict[tuple[str, int], int] = field(default_factory=dict)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    commits: list[Commit] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    subs: list[Subscription] = field(default_factory=list)
    group: str = ""  # of the live path; `<group>.delays` is that of the delay topics
    forged: frozenset[str] = frozenset()  # provider ids of requests that must be turned away
    secrets: tuple[str, ...] = ()
    outputs: dict[str, str] = field(default_factory=dict)  # program -> everything it printed
    samples: list[Sample] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)  # addresses that a program dialled
    exits: list[tuple[str, int | None, bool]] = field(default_factory=list)  # name, code, wanted
    counters: dict[str, float] = field(default_factory=dict)


@dataclass
class Finding:
    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


@dataclass
class Caps:
    """Most that a process may use; 0 = not judged."""

    rss: int = 0
    fds: int = 0
    threads: int = 0
    queued: int = 0
