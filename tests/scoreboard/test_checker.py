"""The checker finds what is planted: one healthy scenario, and one fault after the other in it."""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from pathlib import Path
from typing import Callable

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scoreboard import checker  # noqa: E402
from scoreboard.checker import Index, Settled  # noqa: E402
from scoreboard.logs import (  # noqa: E402
    Answer,
    Caps,
    Commit,
    Finding,
    Got,
    Logged,
    Logs,
    Sample,
    Subscription,
    digest,
)

T0 = 1_700_000_000.0
COUNT = 60  # of each partition


def made(partition: int, offset: int) -> tuple[str, str, bytes]:
    """Event id, provider id and digest of one event."""
    name = f"{partition}-{offset}"
    return f"event-{name}", f"provider-{name}", digest(f"body {name}".encode())


def record(partition: int, offset: int) -> Logged:
    event, provider, body = made(partition, offset)
    headers = {
        "er-id": event,
        "er-provider-id": provider,
        "er-instance": str(100 + partition),
        "er-event-type": "CREATED" if offset % 2 else "DELETED",
        "er-object-id": f"object-{offset % 7}",
    }
    return Logged("events", partition, offset, T0 + offset * 0.01, headers, body)


def moved(
    original: Logged, topic: str, offset: int, at: float, sub: str, attempt: int = 1
) -> Logged:
    headers = original.headers | {"er-sub": sub, "er-attempt": str(attempt)}
    return original._replace(topic=topic, offset=offset, at=at, headers=headers)


def state_record(sub: str, start: int, at: float, offset: int, **more) -> Logged:
    """A state record of partition 0."""
    thing = more.pop("object", None)
    key = f"{sub}{'|' + thing if thing else ''}@{start}"
    document = {"v": 1, "subscription": sub, "object": thing, "state": "detached", "from": start}
    document |= {"cursor": start, "end": None, "epoch": 1} | more
    return Logged("state", 0, offset, at, {}, b"", key, json.dumps(document).encode())


def got(original: Logged, sub: str, at: float, status: int = 200, attempt: int = 1) -> Got:
    return Got(
        sub, original.id, attempt, status, at, at + 0.001, original.digest, True, float(int(at))
    )


def healthy() -> Logs:
    """Two partitions, three subscriptions. Of partition 0: offset 5 is parked once, 9 is dead for
    `100`, 20 to 29 go to `100` over a cursor. Of partition 1, in order by object: offset 10 is
    blocked behind its own cursor and delivered late, with those of its object after it."""
    logs = Logs(group="g")
    logs.subs = [
        Subscription("100", "100"),
        Subscription("100/audit", "100", types=frozenset({"DELETED"})),
        Subscription("101", "101", ordering="object"),
    ]
    late = {("100", 5): 0.6, ("100", 25): 1.2}
    for partition in (0, 1):
        for offset in range(COUNT):
            number = partition * COUNT + offset
            event, provider, body = made(partition, offset)
            logs.requests[number] = (provider, body)
            logs.answers.append(Answer(number, 202, (event,)))
            logs.events.append(record(partition, offset))
        logs.ends[("events", partition)] = COUNT
        logs.starts[("events", partition)] = 0
    for one in logs.events:
        subs = ["101"] if one.partition else ["100"]
        if one.partition == 0 and one.headers["er-event-type"] == "DELETED":
            subs.append("100/audit")
        for sub in subs:
            at = one.at + 0.01 + late.get((sub, one.offset), 0.0)
            if sub == "100" and one.offset == 9:
                logs.got.append(got(one, sub, at, 500))
                logs.dead.append(moved(one, "dead", 0, at + 0.02, sub))
                continue
            if sub == "100" and one.offset == 5:
                logs.got.append(got(one, sub, one.at + 0.01, 503))
                logs.parked.append(moved(one, "retry.500ms", 0, one.at + 0.03, sub))
                logs.ends[("retry.500ms", 0)] = 1
                logs.commits.append(Commit("g.delays", "retry.500ms", 0, 1, "", at + 0.02))
            if sub == "101" and one.offset >= 10 and one.offset % 7 == 3:
                if one.offset == 10:
                    logs.got.append(got(one, sub, one.at + 0.01, 500))
                    more = dict(object="object-3", state="blocked")
                    blocked = state_record(sub, 10, one.at + 0.02, 0, **more)._replace(partition=1)
                    logs.state.append(blocked)
                at = T0 + 2.0 + one.offset * 0.01
            logs.got.append(got(one, sub, at))
    logs.state.append(state_record("100", 20, T0 + 0.205, 1))
    logs.state.append(state_record("100", 20, T0 + 1.5, 2, cursor=30, end=30))
    logs.state.append(logs.state[-1]._replace(value=None, at=T0 + 1.6, offset=3))
    for partition in (0, 1):
        half = 30
        logs.commits += [
            Commit("g", "events", partition, 5, "", T0 + 0.08),
            # 5 is parked at +0.08, so at +0.079 only the range above it may be called finished.
            Commit("g", "events", partition, half, "1:2,3,1,2", T0 + 0.5),
            Commit("g", "events", partition, COUNT, "", T0 + 4.0),
        ]
    logs.commits.sort(key=lambda commit: commit.at)
    logs.got.sort(key=lambda one: one.at)
    logs.samples = [Sample("relay", T0 + n, 50 << 20, 40, 8, 1000) for n in range(5)]
    logs.outputs = {"relay": "all is well"}
    logs.secrets = ("hush-hush",)
    logs.connected = ["127.0.0.1", "::1", "127.8.9.10"]
    logs.exits = [("relay", 0, True)]
    logs.counters = {"received": 120, "acked": 118, "rejected": 2, "failed": 0}
    logs.counters |= {"consumed": 150, "delivered": 148, "parked": 1, "dead": 1, "held": 0}
    return logs


def judge(logs: Logs, bound: float = 0) -> list[Finding]:
    index = Index(logs)
    caps = {"relay": Caps(rss=100 << 20, fds=100, threads=20, queued=2000)}
    return (
        checker.accepted_is_logged(logs)
        + checker.logged_is_settled(logs, index)
        + checker.commits_are_safe(logs, index)
        + checker.cursors_are_safe(logs, index)
        + checker.doubles_in_bound(logs, index, bound)
        + checker.within_caps(logs, caps)
        + checker.delivered_is_genuine(logs)
        + checker.nothing_forged(logs)
        + checker.denied_are_not_dialled(logs)
        + checker.caught_up(logs)
        + checker.nobody_ended(logs)
        + checker.counters_balance(logs)
        + checker.in_order(logs, index)
    )


def test_healthy_scenario_has_no_finding() -> None:
    logs = healthy()
    assert [str(finding) for finding in judge(logs)] == []
    settled = checker.settle(logs, Index(logs))
    assert settled == Settled(delivered=149, dead=1)


# -- one planted fault each: what is changed, and what the checker has to say --

Plant = Callable[[Logs], None]
PLANTED: dict[str, tuple[Plant, str]] = {}


def plant(expected: str) -> Callable[[Plant], Plant]:
    def keep(function: Plant) -> Plant:
        PLANTED[function.__name__] = (function, expected)
        return function

    return keep


def find(logs: Logs, partition: int, offset: int) -> int:
    return next(
        n for n, r in enumerate(logs.events) if (r.partition, r.offset) == (partition, offset)
    )


def drop_deliveries(logs: Logs, event: str, sub: str) -> None:
    logs.got = [g for g in logs.got if (g.event, g.sub) != (event, sub)]


def change(items: list, place: int, **what) -> None:
    items[place] = items[place]._replace(**what)


@plant("I1: answered 202, not in the log: request 59, event event-0-59")
def accepted_and_not_logged(logs: Logs) -> None:
    del logs.events[find(logs, 0, 59)]


@plant("I1: answered 202, other bytes in the log")
def one_bit_of_a_body_changed_in_the_log(logs: Logs) -> None:
    place = find(logs, 1, 30)
    change(logs.events, place, digest=digest(b"cody 1-30"))


@plant("I1: more often in the log than it was sent: event event-0-40: 2 records of 1 tries")
def one_request_logged_twice(logs: Logs) -> None:
    logs.events.append(logs.events[find(logs, 0, 40)]._replace(offset=COUNT))
    logs.ends[("events", 0)] = COUNT + 1
    last = next(n for n, c in enumerate(logs.commits) if c[1:4] == ("events", 0, COUNT))
    change(logs.commits, last, offset=COUNT + 1)


@plant("I1: answered 202 without an event id")
def accepted_without_an_id(logs: Logs) -> None:
    change(logs.answers, 3, ids=())


@plant("I1: answered 202 with the id of another event: request 3, event event-0-4")
def accepted_with_a_foreign_id(logs: Logs) -> None:
    for number in (3, 4):
        logs.requests[number] = (logs.requests[number][0], digest(b"same body"))
        change(logs.events, number, digest=digest(b"same body"))
    logs.got = [
        g._replace(digest=digest(b"same body")) if g.event in ("event-0-3", "event-0-4") else g
        for g in logs.got
    ]
    change(logs.answers, 3, ids=("event-0-4",))


@plant("I2: lost: event-1-33 for 101 at 1/33")
def one_event_never_delivered(logs: Logs) -> None:
    drop_deliveries(logs, "event-1-33", "101")


@plant("I2: lost: event-0-8 for 100/audit at 0/8")
def one_of_two_subscriptions_forgotten(logs: Logs) -> None:
    drop_deliveries(logs, "event-0-8", "100/audit")


@plant("I2: lost: event-0-9 for 100 at 0/9")
def dead_letter_missing(logs: Logs) -> None:
    logs.dead.clear()


@plant("I2: lost: event-0-5 for 100 at 0/5")
def parked_committed_and_not_delivered(logs: Logs) -> None:
    logs.got = [g for g in logs.got if (g.event, g.sub, g.status) != ("event-0-5", "100", 200)]


@plant("I2: lost: event-0-25 for 100 at 0/25")
def cursor_deleted_before_its_last_event(logs: Logs) -> None:
    drop_deliveries(logs, "event-0-25", "100")


@plant("I2: still waits: event-0-59 for 100")
def last_event_not_delivered_and_not_committed(logs: Logs) -> None:
    drop_deliveries(logs, "event-0-59", "100")
    last = next(n for n, c in enumerate(logs.commits) if c[1:4] == ("events", 0, COUNT))
    change(logs.commits, last, offset=59)


@plant("I2: still waits: event-0-25 for 100")
def left_behind_a_living_cursor(logs: Logs) -> None:
    drop_deliveries(logs, "event-0-25", "100")
    logs.state[-2:] = [state_record("100", 20, T0 + 1.5, 2, cursor=25)]


@plant("I2: the log was cut")
def log_begins_late(logs: Logs) -> None:
    logs.starts[("events", 0)] = 3


@plant("I3: commit passes an unfinished event: events/0 30 passes event-0-12")
def commit_ahead_of_a_late_delivery(logs: Logs) -> None:
    for place, one in enumerate(logs.got):
        if (one.event, one.sub) == ("event-0-12", "100"):
            change(logs.got, place, at=T0 + 0.51, done=T0 + 0.511)


@plant("I3: commit passes an unfinished event: events/0 5 passes event-0-4")
def commit_one_millisecond_ten_too_early(logs: Logs) -> None:
    place = next(n for n, c in enumerate(logs.commits) if c[1:4] == ("events", 0, 5))
    change(logs.commits, place, at=T0 + 0.04)


@plant("I3: finished range holds an unfinished event: events/1 30 calls event-1-37 at 37 finished")
def range_names_an_unfinished_event(logs: Logs) -> None:
    place = next(n for n, c in enumerate(logs.commits) if c[1:4] == ("events", 1, 30))
    change(logs.commits, place, metadata="1:2,6", at=T0 + 0.374)


@plant("I3: commit goes back: events/1 12 after 60")
def zombie_commits_an_old_offset(logs: Logs) -> None:
    logs.commits.append(Commit("g", "events", 1, 12, "", T0 + 5))


@plant("I3: commit beyond the end")
def commit_beyond_the_end(logs: Logs) -> None:
    logs.commits.append(Commit("g", "events", 1, COUNT + 3, "", T0 + 5))


@plant("I3: metadata: events/1 60: 5000 bytes")
def metadata_too_long(logs: Logs) -> None:
    logs.commits.append(Commit("g", "events", 1, COUNT, "x" * 5000, T0 + 5))


@plant("I3: commit passes an unfinished event: retry.500ms/0 1 passes event-0-5")
def delay_topic_committed_before_the_delivery(logs: Logs) -> None:
    place = next(n for n, c in enumerate(logs.commits) if c.topic == "retry.500ms")
    change(logs.commits, place, at=T0 + 0.3)


@plant("I3: cursor passes an unfinished event: 100@20 to 30 passes event-0-25")
def cursor_ahead_of_its_catch_up_read(logs: Logs) -> None:
    place = next(n for n, r in enumerate(logs.state) if r.offset == 2)
    change(logs.state, place, at=T0 + 0.9)


@plant("I3: state record that is empty instead of null")
def deletion_that_compaction_does_not_see(logs: Logs) -> None:
    place = next(n for n, r in enumerate(logs.state) if r.value is None)
    change(logs.state, place, value=b"")


@plant("I3: commit passes an unfinished event: events/0 30 passes event-0-25")
def covered_by_a_record_of_a_fenced_owner(logs: Logs) -> None:
    newer = Logged("state", 0, 0, T0 + 0.1, {}, b"", "owner", b'{"v":1,"epoch":2}')
    logs.state.insert(0, newer)


@plant("I4: 1 doubles, at most 0 allowed")
def delivered_twice(logs: Logs) -> None:
    logs.got.append(got(logs.events[find(logs, 0, 12)], "100", T0 + 3))


@plant("I5: relay: rss")
def memory_over_its_cap(logs: Logs) -> None:
    change(logs.samples, 3, rss=101 << 20)


@plant("I5: relay: fds")
def files_over_their_cap(logs: Logs) -> None:
    change(logs.samples, 3, fds=101)


@plant("I5: relay: queued")
def queue_over_its_cap(logs: Logs) -> None:
    change(logs.samples, 3, queued=2001)


@plant("I5: no sample of relay")
def nobody_looked(logs: Logs) -> None:
    logs.samples.clear()


@plant("I6: other bytes than in the log: event-0-12 for 100")
def delivered_bytes_changed(logs: Logs) -> None:
    place = next(n for n, g in enumerate(logs.got) if (g.event, g.sub) == ("event-0-12", "100"))
    change(logs.got, place, digest=digest(b"body 0-12 "))


@plant("I6: other bytes than in the log: event-0-9 in dead")
def dead_letter_bytes_changed(logs: Logs) -> None:
    change(logs.dead, 0, digest=digest(b""))


@plant("I6: signature does not verify: event-1-2 for 101")
def signature_wrong(logs: Logs) -> None:
    place = next(n for n, g in enumerate(logs.got) if g.event == "event-1-2")
    change(logs.got, place, signed=False)


@plant("I6: signed at another time")
def signed_long_before(logs: Logs) -> None:
    change(logs.got, 7, stamp=logs.got[7].at - 10)


@plant("I6: delivered and not in the log: event-x for 101")
def delivered_from_nowhere(logs: Logs) -> None:
    logs.got.append(logs.got[0]._replace(event="event-x", sub="101"))


@plant("I7: unverified and in the log: provider-0-3")
def forged_request_logged(logs: Logs) -> None:
    logs.forged = frozenset({"provider-0-3"})


@plant("I7: secret told by: relay")
def secret_in_the_log_output(logs: Logs) -> None:
    logs.outputs["relay"] = "signing with hush-hush"


@plant("I8: dialled: 169.254.169.254")
def dialled_a_denied_address(logs: Logs) -> None:
    logs.connected.append("169.254.169.254")


@plant("I9: not committed to the end: events/1: 59 of 60")
def last_commit_missing(logs: Logs) -> None:
    last = next(n for n, c in enumerate(logs.commits) if c[1:4] == ("events", 1, COUNT))
    change(logs.commits, last, offset=59)


@plant("I9: not committed to the end: retry.500ms/0: None of 1")
def delay_topic_never_committed(logs: Logs) -> None:
    logs.commits = [c for c in logs.commits if c.topic == "events"]


@plant("I10: ended by itself: relay with -11")
def crashed(logs: Logs) -> None:
    logs.exits = [("relay", -11, False)]


@plant("I11: received 120, its parts 119")
def a_request_unaccounted_for(logs: Logs) -> None:
    logs.counters["rejected"] = 1


@plant("I11: consumed 150, its parts 151")
def an_event_counted_twice(logs: Logs) -> None:
    logs.counters["parked"] = 2


@plant("order: sent too early: event-1-17 of object-3 before event-1-10")
def later_event_of_a_blocked_object_sent(logs: Logs) -> None:
    place = next(n for n, g in enumerate(logs.got) if g.event == "event-1-17")
    change(logs.got, place, at=T0 + 1.0, done=T0 + 1.001)
    logs.got.sort(key=lambda one: one.at)


@plant("order: sent too early: event-1-24 of object-3 before event-1-17")
def two_events_of_an_object_swapped(logs: Logs) -> None:
    one, two = (
        next(n for n, g in enumerate(logs.got) if g.event == name)
        for name in ("event-1-17", "event-1-24")
    )
    first, second = logs.got[one], logs.got[two]
    change(logs.got, one, at=second.at, done=second.done)
    change(logs.got, two, at=first.at, done=first.done)


@pytest.mark.parametrize("name", PLANTED)
def test_planted_fault_is_found(name: str) -> None:
    logs = healthy()
    function, expected = PLANTED[name]
    function(logs)
    found = [str(finding) for finding in judge(logs)]
    assert any(line.startswith(expected) for line in found), found


@pytest.mark.parametrize("name", PLANTED)
def test_planted_fault_is_not_taken_for_many(name: str) -> None:
    """Findings speak of the planted event, not of the whole scenario."""
    logs = healthy()
    PLANTED[name][0](logs)
    assert len(judge(logs)) <= 8


def test_instance_order_is_judged_over_all_objects() -> None:
    logs = healthy()
    logs.subs[2].ordering = "instance"
    found = [str(f) for f in checker.in_order(logs, Index(logs))]
    assert found and found[0].startswith("order: sent too early: event-1-11 of its instance")


def test_doubles_after_a_kill_are_counted_and_allowed_up_to_the_bound() -> None:
    logs = healthy()
    for offset in range(40, 50):
        logs.got.append(got(logs.events[find(logs, 0, offset)], "100", T0 + 3))
    index = Index(logs)
    assert checker.doubles(logs, index) == 10
    assert checker.doubles_in_bound(logs, index, 10) == []
    assert len(checker.doubles_in_bound(logs, index, 9.9)) == 1


def test_a_providers_own_retry_is_no_double() -> None:
    logs = healthy()
    original = logs.events[find(logs, 0, 12)]
    logs.events.append(original._replace(offset=COUNT))
    logs.answers.append(Answer(12, 202, (original.id,)))
    logs.got.append(got(original, "100", T0 + 3))
    index = Index(logs)
    assert checker.accepted_is_logged(logs) == []
    assert checker.doubles(logs, index) == 0


def test_refused_and_logged_all_the_same_is_no_fault() -> None:
    logs = healthy()
    change(logs.answers, 12, status=503, ids=())
    change(logs.answers, 13, status=0, ids=())
    assert checker.accepted_is_logged(logs) == []


def test_waiting_is_no_loss_before_the_heal() -> None:
    logs = healthy()
    drop_deliveries(logs, "event-0-59", "100")
    last = next(n for n, c in enumerate(logs.commits) if c[1:4] == ("events", 0, COUNT))
    change(logs.commits, last, offset=59)
    index = Index(logs)
    assert checker.logged_is_settled(logs, index, all_done=False) == []
    assert len(checker.settle(logs, index).held) == 1


def test_deletion_of_an_unfinished_cursor_does_not_count() -> None:
    logs = healthy()
    drop_deliveries(logs, "event-0-25", "100")
    place = next(n for n, r in enumerate(logs.state) if r.offset == 2)
    logs.state[place] = state_record("100", 20, T0 + 1.5, 2, cursor=25, end=30)
    assert checker.settle(logs, Index(logs)).held == ["event-0-25 for 100 at 0/25"]


def test_a_range_above_the_commit_counts_as_committed() -> None:
    logs = healthy()
    drop_deliveries(logs, "event-0-59", "100")
    last = next(n for n, c in enumerate(logs.commits) if c[1:4] == ("events", 0, COUNT))
    change(logs.commits, last, offset=58, metadata="1:1,1")
    assert checker.settle(logs, Index(logs)).lost == ["event-0-59 for 100 at 0/59"]


def test_ranges_are_run_lengths() -> None:
    assert list(checker.ranges("1:2,3,1,2", 30)) == [(32, 35), (36, 38)]
    assert list(checker.ranges("", 30)) == []
    assert list(checker.ranges("2:2,3", 30)) == []


def test_many_findings_are_counted_not_listed() -> None:
    logs = deepcopy(healthy())
    logs.got.clear()
    found = [str(f) for f in checker.logged_is_settled(logs, Index(logs))]
    lost = [line for line in found if line.startswith("I2: lost")]
    assert len(lost) == checker.SHOWN + 1 and lost[-1] == "I2: lost: 136 more"
