"""The offline checker: judges the logs of one scenario by the invariants I1 to I11.

I1   a 2xx means: the record is in the log with the same bytes, once
I2   each logged event is delivered, or dead, or parked, or still waits behind a commit or a cursor
I3   no commit passes an unfinished event; commits never go back
I4   doubled deliveries stay within the bound of the scenario
I5   memory, files, threads and queues stay within their caps
I6   delivered bytes are the produced ones, the signature verifies, its time is the time of sending
I7   nothing unverified is in the log; no secret is in any output
I8   no connection to a denied address
I9   after healing everything is read and committed
I10  no process ends unless it was told to
I11  the counters balance
order  events of one object (or instance) reach a subscription in the order of the log

Each function returns its findings; none means: holds.
"""

from __future__ import annotations

import bisect
import ipaddress
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Iterator

from scoreboard.logs import Caps, Commit, Finding, Got, Logged, Logs, Subscription

NEVER = float("inf")
SHOWN = 5  # findings of one kind that are told one by one
CLOCK = 0.005  # between two processes of one machine, and the milliseconds of Kafka's timestamps
STAMP = 2.0  # signed time against time of receipt


def few(invariant: str, what: str, items: list) -> list[Finding]:
    """One finding for each of the first items, and one that counts the rest."""
    found = [Finding(invariant, f"{what}: {item}") for item in items[:SHOWN]]
    if len(items) > SHOWN:
        found.append(Finding(invariant, f"{what}: {len(items) - SHOWN} more"))
    return found


def ranges(metadata: str, offset: int) -> Iterator[tuple[int, int]]:
    """First and past-last offset of each finished run above a committed offset: `1:<unfinished>,
    <finished>,...`."""
    if not metadata.startswith("1:"):
        return
    numbers = [int(word) for word in metadata[2:].partition("@")[0].split(",")]
    at = offset
    for unfinished, finished in zip(numbers[::2], numbers[1::2]):
        yield at + unfinished, at + unfinished + finished
        at += unfinished + finished


@dataclass
class BacklogCursor:
    """One `state` record, read. Key: `<subscription>[|<object>]@<from>`."""

    key: str
    partition: int
    offset: int
    at: float
    subscription: str
    object: str | None
    start: int
    position: int
    end: int | None
    state: str
    epoch: int
    fenced: bool = False
    ranges: str = ""

    def covers(self, record: Logged, instance_wide: bool) -> bool:
        if record.partition != self.partition or record.offset < self.start:
            return False
        if self.end is not None and record.offset >= self.end:
            return False
        return self.object is None or instance_wide or self.object == record.object


def cursors(state: list[Logged]) -> tuple[list[BacklogCursor], dict[str, BacklogCursor]]:
    """Every record that counted when it was written, and the living ones (the last by key). A
    record of an older epoch after a newer one never counts, nor does a deletion of a cursor that
    is not at its end."""
    all_of_them: list[BacklogCursor] = []
    living: dict[str, BacklogCursor] = {}
    epochs: dict[int, int] = defaultdict(int)
    for record in state:
        if record.value is None:
            known = living.get(record.key)
            if known is not None and known.end is not None and known.position >= known.end:
                del living[record.key]
            continue
        if not record.value:
            continue  # neither a record nor a deletion: cursors_are_safe() tells
        found = json.loads(record.value)
        epoch = int(found.get("epoch", 0))
        cursor = None
        if "subscription" in found:
            cursor = BacklogCursor(
                record.key,
                record.partition,
                record.offset,
                record.at,
                found["subscription"],
                found.get("object"),
                int(found["from"]),
                int(found["cursor"]),
                found.get("end"),
                found.get("state", ""),
                epoch,
                epoch < epochs[record.partition],
                found.get("ranges") or "",
            )
            all_of_them.append(cursor)
            if not cursor.fenced:
                living[record.key] = cursor
        epochs[record.partition] = max(epochs[record.partition], epoch)
    return all_of_them, living


class Index:
    """Look-ups that several invariants share, made once."""

    def __init__(self, logs: Logs):
        self.logs = logs
        self.by_instance: dict[str, list[Subscription]] = defaultdict(list)
        for sub in logs.subs:
            self.by_instance[sub.instance].append(sub)
        self.sub_by_id = {sub.id: sub for sub in logs.subs}
        self.copies = Counter(record.id for record in logs.events)
        self.delivered: dict[tuple[str, str], float] = {}
        self.times: Counter[tuple[str, str]] = Counter()
        for got in logs.got:
            if 200 <= got.status < 300:
                key = (got.event, got.sub)
                self.times[key] += 1
                if key not in self.delivered or got.done < self.delivered[key]:
                    self.delivered[key] = got.done
        self.dead: dict[tuple[str, str], float] = {}
        for record in logs.dead:
            key = (record.id, record.headers.get("er-sub", ""))
            self.dead[key] = min(self.dead.get(key, NEVER), record.at)
        self.parked: dict[tuple[str, str], list[Logged]] = defaultdict(list)
        for record in logs.parked:
            self.parked[(record.id, record.headers.get("er-sub", ""))].append(record)
        self.cursors, self.living = cursors(logs.state)
        self._by_sub: dict[tuple[str, int], list[BacklogCursor]] = defaultdict(list)
        known: set[tuple[int, str, int, int | None]] = set()
        for cursor in self.cursors:
            what = (cursor.partition, cursor.key, cursor.start, cursor.end)
            if cursor.fenced or what in known:
                continue  # it covers what an earlier record of it did, and that one was first
            known.add(what)
            self._by_sub[(cursor.subscription, cursor.partition)].append(cursor)

    def wants(self, record: Logged) -> list[Subscription]:
        """Subscriptions that this record is for."""
        subs = self.by_instance.get(record.headers.get("er-instance", record.key), [])
        kind = record.headers.get("er-event-type", "")
        return [sub for sub in subs if sub.types is None or kind in sub.types]

    def covered(self, record: Logged, sub: Subscription) -> float:
        """When a cursor first covered this event for this subscription."""
        wide = sub.ordering == "instance"
        return min(
            (
                cursor.at
                for cursor in self._by_sub.get((sub.id, record.partition), ())
                if cursor.covers(record, wide)
            ),
            default=NEVER,
        )

    def covering(self, sub: Subscription, partition: int) -> list[BacklogCursor]:
        """Entries of a subscription, the first record of each extent."""
        return self._by_sub.get((sub.id, partition), [])

    def finished(self, record: Logged, sub: Subscription) -> float:
        """When an offset of `events` counted as done for a subscription."""
        key = (record.id, sub.id)
        at = min(self.delivered.get(key, NEVER), self.dead.get(key, NEVER))
        for parked in self.parked.get(key, ()):
            at = min(at, parked.at)
        return min(at, self.covered(record, sub))

    def finished_parked(self, record: Logged) -> float:
        """When a parked record counted as done: delivered, dead or parked again."""
        sub_id = record.headers.get("er-sub", "")
        sub = self.sub_by_id.get(sub_id)
        if sub is None:
            return 0.0  # the subscription is gone: counted and dropped
        key = (record.id, sub_id)
        at = min(self.delivered.get(key, NEVER), self.dead.get(key, NEVER))
        here = (record.topic, record.partition, record.offset)
        for other in self.parked[key]:
            if (other.topic, other.partition, other.offset) != here and other.at >= record.at:
                at = min(at, other.at)
        return at


# -- I1 --


def accepted_is_logged(logs: Logs) -> list[Finding]:
    records: dict[str, list[Logged]] = defaultdict(list)
    for record in logs.events:
        records[record.id].append(record)
    missing, changed, twice, unnamed, foreign = [], [], [], [], []
    tries: Counter[str] = Counter(
        logs.requests[answer.request][0] for answer in logs.answers if answer.request >= 0
    )
    for answer in logs.answers:
        if answer.status != 202:
            continue
        provider, body = logs.requests[answer.request]
        if not answer.ids:
            unnamed.append(f"request {answer.request}")
        for event in answer.ids:
            there = records.get(event)
            if not there:
                missing.append(f"request {answer.request}, event {event}")
            elif any(record.digest != body for record in there):
                changed.append(f"request {answer.request}, event {event}")
            elif any(r.headers.get("er-provider-id", provider) != provider for r in there):
                foreign.append(f"request {answer.request}, event {event}")
    known = {provider for provider, _ in logs.requests.values()}
    for event, there in records.items():
        provider = there[0].headers.get("er-provider-id", "")
        if provider in known and len(there) > tries[provider]:
            twice.append(f"event {event}: {len(there)} records of {tries[provider]} tries")
    return (
        few("I1", "answered 202, not in the log", missing)
        + few("I1", "answered 202, other bytes in the log", changed)
        + few("I1", "answered 202 with the id of another event", foreign)
        + few("I1", "answered 202 without an event id", unnamed)
        + few("I1", "more often in the log than it was sent", twice)
    )


# -- I2 --


@dataclass
class Settled:
    """Where each (event, subscription) ended. Bounds: lists hold ids only."""

    delivered: int = 0
    dead: int = 0
    held: list[str] = field(default_factory=list)  # waits: uncommitted, parked or behind a cursor
    lost: list[str] = field(default_factory=list)


def last_commits(logs: Logs) -> dict[tuple[str, str, int], Commit]:
    return {(c.group, c.topic, c.partition): c for c in logs.commits}


def _uncommitted(commit: Commit | None, offset: int) -> bool:
    if commit is None:
        return True
    if offset < commit.offset:
        return False
    return not any(a <= offset < b for a, b in ranges(commit.metadata, commit.offset))


def _name(record: Logged, sub: Subscription) -> str:
    return f"{record.id} for {sub.id} at {record.partition}/{record.offset}"


def settle(logs: Logs, index: Index) -> Settled:
    last = last_commits(logs)
    living: dict[tuple[str, int], list[BacklogCursor]] = defaultdict(list)
    for cursor in index.living.values():
        living[(cursor.subscription, cursor.partition)].append(cursor)

    def behind_cursor(record: Logged, sub: Subscription) -> bool:
        for cursor in living.get((sub.id, record.partition), ()):
            wide = sub.ordering == "instance"
            if record.offset < cursor.position or not cursor.covers(record, wide):
                continue
            if not any(a <= record.offset < b for a, b in ranges(cursor.ranges, cursor.position)):
                return True
        return False

    result = Settled()
    for record in logs.events:
        commit = last.get((logs.group, "events", record.partition))
        for sub in index.wants(record):
            key = (record.id, sub.id)
            if key in index.delivered:
                result.delivered += 1
            elif key in index.dead:
                result.dead += 1
            elif (
                _uncommitted(commit, record.offset)
                or behind_cursor(record, sub)
                or any(
                    _uncommitted(
                        last.get((logs.group + ".delays", parked.topic, parked.partition)),
                        parked.offset,
                    )
                    for parked in index.parked.get(key, ())
                )
            ):
                result.held.append(_name(record, sub))
            else:
                result.lost.append(_name(record, sub))
    return result


def logged_is_settled(logs: Logs, index: Index, all_done: bool = True) -> list[Finding]:
    """`all_done`: nothing may wait either, which a healed scenario asks."""
    result = settle(logs, index)
    found = few("I2", "lost", result.lost)
    if all_done:
        found += few("I2", "still waits", result.held)
    cut = [f"{t}/{p} begins at {n}" for (t, p), n in logs.starts.items() if n > 0 and t == "events"]
    return found + few("I2", "the log was cut, so it does not tell all", cut)


# -- I3 --


class _Done:
    """For one partition of one topic: when everything below an offset was finished."""

    def __init__(self, items: list[tuple[int, float, str]]):
        items.sort()
        self.offsets = [offset for offset, _, _ in items]
        self.at = [at for _, at, _ in items]
        self.names = [name for _, _, name in items]
        self.below: list[float] = []
        worst = 0.0
        for at in self.at:
            worst = max(worst, at)
            self.below.append(worst)

    def unfinished(self, first: int, past: int, at: float) -> str | None:
        """An event in [first, past) that was not finished at `at`."""
        stop = bisect.bisect_left(self.offsets, past)
        start = bisect.bisect_left(self.offsets, first)
        if stop == 0 or (start == 0 and self.below[stop - 1] <= at):
            return None
        for place in range(start, stop):
            if self.at[place] > at:
                return f"{self.names[place]} at {self.offsets[place]}"
        return None


def commits_are_safe(logs: Logs, index: Index) -> list[Finding]:
    places: dict[tuple[str, str, int], list[tuple[int, float, str]]] = defaultdict(list)
    for record in logs.events:
        at = max((index.finished(record, sub) for sub in index.wants(record)), default=0.0)
        places[(logs.group, "events", record.partition)].append((record.offset, at, record.id))
    for record in logs.parked:
        place = (logs.group + ".delays", record.topic, record.partition)
        places[place].append((record.offset, index.finished_parked(record), record.id))
    done = {place: _Done(items) for place, items in places.items()}
    back, holes, runs, beyond, long = [], [], [], [], []
    last: dict[tuple[str, str, int], int] = {}
    for commit in logs.commits:
        place = (commit.group, commit.topic, commit.partition)
        before = last.get(place, 0)
        name = f"{commit.topic}/{commit.partition} {commit.offset}"
        if commit.offset < before:
            back.append(f"{name} after {before}")
        last[place] = commit.offset
        end = logs.ends.get(place[1:])
        if end is not None and commit.offset > end:
            beyond.append(f"{name} of {end}")
        if len(commit.metadata) > 4096 or not commit.metadata.isascii():
            long.append(f"{name}: {len(commit.metadata)} bytes of metadata")
        if place not in done:
            continue
        at = commit.at + CLOCK
        if (event := done[place].unfinished(0, commit.offset, at)) is not None:
            holes.append(f"{name} passes {event}")
        for first, past in ranges(commit.metadata, commit.offset):
            if (event := done[place].unfinished(first, past, at)) is not None:
                runs.append(f"{name} calls {event} finished")
    return (
        few("I3", "commit goes back", back)
        + few("I3", "commit beyond the end", beyond)
        + few("I3", "commit passes an unfinished event", holes)
        + few("I3", "finished range holds an unfinished event", runs)
        + few("I3", "metadata", long)
    )


def cursors_are_safe(logs: Logs, index: Index) -> list[Finding]:
    """No cursor passes an event that is not done and that no other cursor covers."""
    by_partition: dict[int, list[Logged]] = defaultdict(list)
    for record in sorted(logs.events, key=lambda r: r.offset):
        by_partition[record.partition].append(record)
    offsets = {p: [r.offset for r in records] for p, records in by_partition.items()}
    passed, checked = [], {}
    for cursor in index.cursors:
        sub = index.sub_by_id.get(cursor.subscription)
        if sub is None or cursor.fenced:
            continue
        # What an earlier record of the cursor passed was judged at that earlier, stricter time.
        first = max(cursor.start, checked.get(cursor.key, 0))
        checked[cursor.key] = max(first, cursor.position)
        runs = [(first, cursor.position), *ranges(cursor.ranges, cursor.position)]
        here, records = offsets.get(cursor.partition, []), by_partition[cursor.partition]
        for begin, past in runs:
            stop = bisect.bisect_left(here, past)
            for record in records[bisect.bisect_left(here, begin) : stop]:
                if sub not in index.wants(record) or not cursor.covers(record, True):
                    continue
                if cursor.object is not None and cursor.object != record.object:
                    continue
                key, limit = (record.id, sub.id), cursor.at + CLOCK
                at = min(index.delivered.get(key, NEVER), index.dead.get(key, NEVER))
                if at <= limit or any(parked.at <= limit for parked in index.parked.get(key, ())):
                    continue
                if not any(
                    other.key != cursor.key
                    and other.at <= limit
                    and other.covers(record, sub.ordering == "instance")
                    for other in index.covering(sub, cursor.partition)
                ):
                    passed.append(f"{cursor.key} to {cursor.position} passes {record.id}")
    empty = [record.key for record in logs.state if record.value == b""]
    return few("I3", "cursor passes an unfinished event", passed) + few(
        "I3", "state record that is empty instead of null, so that it is kept for ever", empty
    )


# -- I4 --


def doubles(logs: Logs, index: Index) -> int:
    """Deliveries beyond one for each record of an event."""
    return sum(
        max(0, times - max(1, index.copies[event])) for (event, _), times in index.times.items()
    )


def doubles_in_bound(logs: Logs, index: Index, bound: float) -> list[Finding]:
    count = doubles(logs, index)
    return [Finding("I4", f"{count} doubles, at most {bound:g} allowed")] if count > bound else []


# -- I5 --


def within_caps(logs: Logs, caps: dict[str, Caps]) -> list[Finding]:
    found = []
    for program, cap in caps.items():
        of_it = [sample for sample in logs.samples if sample.program.startswith(program)]
        if not of_it:
            found.append(Finding("I5", f"no sample of {program}"))
        for what in ("rss", "fds", "threads", "queued"):
            most, limit = max((getattr(s, what) for s in of_it), default=0), getattr(cap, what)
            if limit and most > limit:
                found.append(Finding("I5", f"{program}: {what} {most}, at most {limit}"))
    return found


# -- I6 --


def delivered_is_genuine(logs: Logs, still: float = 0.0) -> list[Finding]:
    """`still`: so long a worker stood still; what it had signed before leaves when it goes on."""
    bodies = {record.id: record.digest for record in logs.events}
    unknown, changed, unsigned, stale = [], [], [], []
    for got in logs.got:
        name = f"{got.event} for {got.sub}"
        if got.event not in bodies:
            unknown.append(name)
        elif got.digest != bodies[got.event]:
            changed.append(name)
        if not got.signed:
            unsigned.append(name)
        elif got.stamp is not None and not -STAMP - 1 - still <= got.stamp - got.at <= STAMP:
            stale.append(f"{name}: {got.stamp - got.at:+.1f} s")
    changed += [
        f"{record.id} in {record.topic}"
        for record in logs.parked + logs.dead
        if record.id in bodies and record.digest != bodies[record.id]
    ]
    return (
        few("I6", "delivered and not in the log", unknown)
        + few("I6", "other bytes than in the log", changed)
        + few("I6", "signature does not verify", unsigned)
        + few("I6", "signed at another time", stale)
    )


# -- I7, I8 --


def nothing_forged(logs: Logs) -> list[Finding]:
    inside = [
        record.headers.get("er-provider-id", "")
        for record in logs.events
        if record.headers.get("er-provider-id") in logs.forged
    ]
    told = [
        f"{program}: {secret[:3]}..."
        for program, text in logs.outputs.items()
        for secret in logs.secrets
        if secret in text
    ]
    return few("I7", "unverified and in the log", inside) + few("I7", "secret told by", told)


def denied_are_not_dialled(logs: Logs) -> list[Finding]:
    """Everything but loopback is denied in every scenario."""
    return few(
        "I8",
        "dialled",
        sorted({a for a in logs.connected if not ipaddress.ip_address(a).is_loopback}),
    )


# -- I9, I10, I11 --


def caught_up(logs: Logs) -> list[Finding]:
    last = last_commits(logs)
    behind = []
    # The end of the log may be the mark of a transaction, behind which nobody can stand.
    ends: dict[tuple[str, int], int] = {}
    for record in logs.events + logs.parked:
        place = (record.topic, record.partition)
        ends[place] = max(ends.get(place, 0), record.offset + 1)
    for (topic, partition), end in ends.items():
        group = logs.group if topic == "events" else logs.group + ".delays"
        commit = last.get((group, topic, partition))
        if commit is None or commit.offset < end:
            behind.append(f"{topic}/{partition}: {commit.offset if commit else None} of {end}")
    return few("I9", "not committed to the end", behind)


def nobody_ended(logs: Logs) -> list[Finding]:
    ended = [f"{name} with {code}" for name, code, wanted in logs.exits if not wanted]
    return few("I10", "ended by itself", ended)


def counters_balance(logs: Logs) -> list[Finding]:
    """`received = acked + rejected + failed`, `consumed = delivered + parked + dead + held`."""
    found = []
    for total, parts in (
        ("received", ("acked", "rejected", "failed")),
        ("consumed", ("delivered", "parked", "dead", "held")),
    ):
        if total not in logs.counters:
            continue
        have = sum(logs.counters.get(part, 0.0) for part in parts)
        if have != logs.counters[total]:
            found.append(Finding("I11", f"{total} {logs.counters[total]:g}, its parts {have:g}"))
    return found


# -- order --


def in_order(logs: Logs, index: Index) -> list[Finding]:
    """No request for an event before every earlier one of its chain was delivered or dead."""
    chains: dict[tuple[str, str], list[Logged]] = defaultdict(list)
    for record in sorted(logs.events, key=lambda r: (r.partition, r.offset)):
        for sub in index.wants(record):
            if sub.ordering == "instance":
                chains[(sub.id, "")].append(record)
            elif sub.ordering == "object" and record.object is not None:
                chains[(sub.id, record.object)].append(record)
    asked: dict[tuple[str, str], list[Got]] = defaultdict(list)
    for got in logs.got:
        asked[(got.event, got.sub)].append(got)
    breaches = []
    for (sub_id, thing), chain in chains.items():
        before, waiting = 0.0, ""  # when all earlier ones were done, and the last of these
        seen: set[str] = set()
        for record in chain:
            if record.id in seen:
                continue
            seen.add(record.id)
            key = (record.id, sub_id)
            for got in asked.get(key, ()):
                if got.at < before - 1e-9:
                    breaches.append(f"{record.id} of {thing or 'its instance'} before {waiting}")
                    break
            at = min(index.delivered.get(key, NEVER), index.dead.get(key, NEVER))
            if at > before:
                before, waiting = at, record.id
    return few("order", "sent too early", breaches)
