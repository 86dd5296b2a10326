"""`eventrelay replay` on the real broker: byte for byte, once each, also after a kill."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter

import pytest
from confluent_kafka import Producer
from support.kafka_log import Record, read_topic
from support.programs import Program, run
from support.stack import INSTANCE, Stack, feed
from support.wait import until

SECOND = 427237
PARKED = {"er-sub", "er-attempt", "er-due", "er-first-failure", "er-reason", "er-class"}


def prepare(stack: Stack, receiver) -> str:
    """Two instances, one of them with a further subscription; the topics; the file's path."""
    entry = stack.add_instance(receiver)
    entry["subscriptions"].append(
        {
            "name": "audit",
            "url": receiver.url("/audit"),
            "filter": {"event_types": ["CREATED"]},
            "delivery": stack.local(receiver),
        }
    )
    stack.add_instance(receiver, SECOND)
    path = str(stack.write())
    done = run("eventrelay", "topics", "init", "-c", path)
    assert done.returncode == 0, done.stderr
    return path


RAW = b'{"n":%d,"x":"\xff\x00"}'


def dead_letters(
    stack: Stack, numbers: range, subscription: str, stamped: int = 0, raw: bytes = RAW
) -> None:
    """Dead letters as the relay writes them, with bytes that no text has."""
    producer = Producer({"bootstrap.servers": stack.broker.bootstrap, "log_level": 0})
    instance = subscription.split("/")[0]
    for number in numbers:
        headers = [
            ("er-v", "1"),
            ("er-id", f"event-{number}"),
            ("er-element", "box"),
            ("er-instance", instance),
            ("er-event-type", "CREATED"),
            ("er-received", "1700000000000"),
            ("er-content-type", "application/json"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("someone-elses", "kept"),
            ("er-sub", subscription),
            ("er-attempt", "8"),
            ("er-first-failure", "1700000001000"),
            ("er-reason", "http_5xx"),
            ("er-class", "subscriber"),
        ]
        producer.produce(
            stack.prefix + "dead",
            key=instance,
            value=raw % number,
            headers=headers,
            partition=number % 6,
            **({"timestamp": stamped} if stamped else {}),
        )
        producer.poll(0)
    assert producer.flush(20) == 0


def parked(stack: Stack) -> list[Record]:
    return read_topic(stack.broker.bootstrap, stack.prefix + "retry.5s")


def replay(path: str, *arguments: str, env=None):
    return run("eventrelay", "replay", "-c", path, *arguments, env=env, seconds=60)


def ids(records: list[Record]) -> Counter[str]:
    return Counter(record.headers["er-id"] for record in records)


def assert_once_each(stack: Stack, numbers: range) -> None:
    """A transaction is answered before its end is written to every partition, so the last records
    may become visible a moment later."""
    until(lambda: len(parked(stack)) >= len(numbers), 15, f"{len(numbers)} are there", pause=0.2)
    assert ids(parked(stack)) == Counter({f"event-{n}": 1 for n in numbers})


def test_dead_letters_go_out_byte_for_byte(stack: Stack, receiver, report) -> None:
    path = prepare(stack, receiver)
    dead_letters(stack, range(0, 300), f"{INSTANCE}/audit")
    dead_letters(stack, range(300, 320), str(INSTANCE))
    dead_letters(stack, range(320, 340), str(SECOND))
    dead_letters(stack, range(340, 345), f"{INSTANCE}/removed-since")
    begin = time.time() * 1000
    select = ["--from", "dead", "--instance", str(INSTANCE), "--rate", "0"]

    looked = replay(path, *select, "--dry-run")
    assert looked.returncode == 0, looked.stderr
    assert len(looked.stdout.splitlines()) == 321 and b"320 would go to" in looked.stdout
    assert parked(stack) == []

    done = replay(path, *select, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["sent"], told["no_subscription"], told["finished"]) == (320, 5, True)
    report(f"sent {told['sent']} in {time.time() - begin / 1000:.1f} s")
    given_up = read_topic(stack.broker.bootstrap, stack.prefix + "dead")
    dead = {record.headers["er-id"]: record for record in given_up}
    assert_once_each(stack, range(320))
    copies = parked(stack)
    for copy in copies:
        original = dead[copy.headers["er-id"]]
        assert (copy.key, copy.value, copy.partition) == (
            original.key,
            original.value,
            original.partition,
        )
        others = {k: v for k, v in original.headers.items() if k not in PARKED}
        assert {k: v for k, v in copy.headers.items() if k not in PARKED} == others
        state = {k: copy.headers.get(k) for k in PARKED}
        assert state["er-sub"] == original.headers["er-sub"]
        assert (state["er-attempt"], state["er-class"]) == ("0", None)
        assert state["er-reason"] == "http_5xx"
        assert begin - 1000 <= int(state["er-due"]) <= time.time() * 1000 + 1000
        assert state["er-first-failure"] == state["er-due"]
        assert len(copy.header_names) == len(set(copy.header_names))

    # The same command takes only what came since; another name begins anew.
    again = replay(path, *select)
    assert again.returncode == 0 and b"0 sent to" in again.stdout, again
    dead_letters(stack, range(400, 403), str(INSTANCE))
    assert b"3 sent to" in replay(path, *select).stdout
    assert b"323 sent to" in replay(path, *select, "--name", "second").stdout
    taken = replay(path, "--from", "dead", "--name", "second", "--rate", "0")
    assert taken.returncode == 2 and b"another selection" in taken.stderr


@pytest.mark.parametrize("place", ["replay-copied:4", "replay-committed:4", "replay-copied:1"])
def test_a_killed_replay_sends_nothing_twice(stack: Stack, receiver, report, place: str) -> None:
    path = prepare(stack, receiver)
    dead_letters(stack, range(3000), str(INSTANCE))
    select = ["--from", "dead", "--instance", str(INSTANCE), "--rate", "0"]
    dead = replay(path, *select, env={"EVENTRELAY_FAILPOINT": place})
    assert dead.returncode == -signal.SIGKILL, dead
    before = len(parked(stack))
    assert before < 3000
    done = replay(path, *select)
    assert done.returncode == 0, done.stderr
    assert_once_each(stack, range(3000))
    report(f"killed after {before} of 3000")


def test_kills_at_any_moment_send_nothing_twice(stack: Stack, receiver, report) -> None:
    path = prepare(stack, receiver)
    count = 1500
    dead_letters(stack, range(count), str(INSTANCE))
    arguments = ["replay", "-c", path, "--from", "dead", "--rate", "400", "--name", "kills"]
    kills = []
    while True:
        program = Program("eventrelay", arguments, stack.directory)
        stack.programs.append(program)
        wanted = (kills[-1] if kills else 0) + 100

        def far() -> bool:
            return not program.alive() or len(parked(stack)) >= wanted

        until(far, 60, "some more are sent")
        if not program.alive():
            assert program.process.returncode == 0, program.log()
            break
        program.kill()
        kills.append(len(parked(stack)))
    report(f"killed at {kills} of {count}")
    assert len(kills) >= 2
    assert_once_each(stack, range(count))


def test_a_second_run_of_a_name_ends_the_first(stack: Stack, receiver) -> None:
    path = prepare(stack, receiver)
    dead_letters(stack, range(200), str(INSTANCE))
    arguments = ["replay", "-c", path, "--from", "dead", "--name", "n"]
    first = Program("eventrelay", [*arguments, "--rate", "10"], stack.directory)
    stack.programs.append(first)
    until(lambda: len(parked(stack)) >= 4, 30, "the first sends")
    done = run("eventrelay", *arguments, "--rate", "0", seconds=60)
    assert done.returncode == 0, done.stderr
    assert first.process.wait(30) == 1
    assert "another replay of this name" in first.log()
    assert_once_each(stack, range(200))


def test_sigterm_ends_a_replay_between_transactions(stack: Stack, receiver) -> None:
    path = prepare(stack, receiver)
    dead_letters(stack, range(100), str(INSTANCE))
    arguments = ["replay", "-c", path, "--from", "dead", "--rate", "20"]
    program = Program("eventrelay", arguments, stack.directory)
    stack.programs.append(program)
    until(lambda: len(parked(stack)) >= 8, 30, "it sends")
    assert program.end(10)[0] == 1
    assert "the same command goes on from here" in program.log()
    rest = run("eventrelay", *arguments[:-1], "0", seconds=60)
    assert rest.returncode == 0 and b"goes on where an earlier run ended" in rest.stderr
    assert_once_each(stack, range(100))


def test_the_rate_is_kept(stack: Stack, receiver, report) -> None:
    path = prepare(stack, receiver)
    dead_letters(stack, range(400), str(INSTANCE))
    begin = time.monotonic()
    assert replay(path, "--from", "dead", "--rate", "100").returncode == 0
    took = time.monotonic() - begin
    report(f"400 at 100/s took {took:.1f} s")
    assert 3.5 <= took <= 12


def test_history_goes_to_those_that_want_it(stack: Stack, receiver) -> None:
    path = prepare(stack, receiver)
    ingest = stack.ingest()
    _, load = feed(ingest.port, 40, connections=4)
    load.finish(30)
    assert load.statuses() == {202: 40}
    created = sum(r.headers.get("er-event-type") == "CREATED" for r in stack.records())
    whole = replay(path, "--from", "events", "--instance", str(INSTANCE), "--rate", "0")
    assert whole.returncode == 0, whole.stderr
    until(lambda: len(parked(stack)) >= 40 + created, 15, "all are there", pause=0.2)
    copies = parked(stack)
    assert len(copies) == 40 + created
    assert {r.headers["er-reason"] for r in copies} == {"ok"}
    assert sum(r.headers["er-sub"] == str(INSTANCE) for r in copies) == 40
    one = stack.records()[0]
    select = ["--from", "events", "--id", one.headers["er-id"], "--subscription", str(INSTANCE)]
    done = replay(path, *select, "--since", "10m")
    assert done.returncode == 0 and b"1 sent to" in done.stdout, done
    assert parked(stack)[-1].value in {r.value for r in stack.records()}


def test_times_bound_what_is_taken(stack: Stack, receiver) -> None:
    path = prepare(stack, receiver)
    now = int(time.time() * 1000)
    hour = 3_600_000
    for at, first in ((now - 5 * hour, 0), (now - 3 * hour, 100), (now - hour, 200)):
        dead_letters(stack, range(first, first + 12), str(INSTANCE), stamped=at)
    window = ["--from", "dead", "--since", "4h", "--until", "2h"]
    done = replay(path, *window, "--rate", "0")
    assert done.returncode == 0, done.stderr
    assert_once_each(stack, range(100, 112))
    nothing = replay(path, "--from", "dead", "--since", "30m")
    assert nothing.returncode == 1 and b"nothing selected" in nothing.stderr


def test_what_it_cannot_mean_is_refused(stack: Stack, receiver) -> None:
    path = prepare(stack, receiver)
    table = {
        ("--from", "retry"): b"--from",
        ("--from", "dead", "--instance", "5"): b"no such instance",
        ("--from", "dead", "--subscription", f"{INSTANCE}/x"): b"audit",
        ("--from", "dead", "--since", "soon"): b"not a time",
        ("--from", "dead", "--since", "1h", "--until", "2h"): b"is not before",
        ("--from", "events"): b"say which",
        ("--from", "dead", "--rate", "2000000"): b"--rate",
    }
    for arguments, words in table.items():
        done = replay(path, *arguments)
        assert done.returncode == 2 and words in done.stderr, (arguments, done)
    done = replay(path, "--from", "dead", "--set", "topics.prefix=nobody.")
    assert done.returncode == 1 and b"nobody.dead" in done.stderr, done


def test_tail_shows_dead_and_parked_events(stack: Stack, receiver) -> None:
    path = prepare(stack, receiver)
    dead_letters(stack, range(10), f"{INSTANCE}/audit")
    dead_letters(stack, range(10, 14), str(SECOND))
    assert replay(path, "--from", "dead", "--id", "event-3").returncode == 0
    until(lambda: len(parked(stack)) == 1, 15, "it is there", pause=0.2)
    tail = ["tail", "-c", path, "--from-beginning"]
    done = run("eventrelay", *tail, "--id", "event-3", "--count", "2")
    assert done.returncode == 0, done.stderr
    lines = sorted(done.stdout.decode().splitlines())
    assert lines[0].startswith("dead 3:") and "reason http_5xx class subscriber" in lines[0]
    assert lines[1].startswith("retry.5s 3:") and " attempts 0 due " in lines[1]
    some = [*tail, "dead", "--subscription", str(SECOND), "--count", "4", "--json"]
    done = run("eventrelay", *some)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["id"] for line in told} == {f"event-{n}" for n in range(10, 14)}
    assert {(line["class"], line["attempts"]) for line in told} == {("subscriber", 8)}
    done = run("eventrelay", "tail", "nothing-of-that-name", "-c", path)
    assert done.returncode == 1 and b"nothing-of-that-name" in done.stderr


def test_a_replayed_event_is_delivered(stack: Stack, receiver, report) -> None:
    path = prepare(stack, receiver)
    relay = stack.relay()
    dead_letters(stack, range(20), f"{INSTANCE}/audit", raw=b'{"n":%d}')
    begin = time.monotonic()
    assert replay(path, "--from", "dead", "--rate", "0").returncode == 0
    receiver.wait_for(20, 30)
    report(f"20 replayed and delivered in {time.monotonic() - begin:.1f} s")
    got = receiver.deliveries()
    assert len(got) == 20 and {one.path for one in got} == {"/audit"}
    wanted = {f"event-{n}" for n in range(20)}
    assert {one.headers["elements-webhook-id"] for one in got} == wanted
    assert relay.end(20)[0] == 0


@pytest.mark.parametrize("words", [("pause", "paused", "resume"), ("off", "off", "on")])
def test_a_subscription_is_paused_and_resumed(stack: Stack, receiver, words) -> None:
    pause, paused, resume = words
    stack.add_instance(receiver)
    ingest, relay = stack.ingest(), stack.relay()
    admin = ["--admin", "http://127.0.0.1:1", "--admin", f"http://127.0.0.1:{relay.admin}"]
    command = ["subscription", pause, str(INSTANCE), *admin]
    # A worker that is ready may still be reading the `state` topic.
    until(lambda: run("eventrelay", *command).returncode == 0, 20, "it is paused", pause=0.2)
    done = run("eventrelay", *command)
    assert done.returncode == 0 and f"is {paused}".encode() in done.stdout, done
    unknown = run("eventrelay", "subscription", pause, "5", *admin)
    assert unknown.returncode == 1 and b"404" in unknown.stderr, unknown
    _, load = feed(ingest.port, 5, connections=1)
    load.finish(20)
    stack.wait_committed(20)
    assert receiver.deliveries() == []
    shown = run("eventrelay", "status", "--admin", f"http://127.0.0.1:{relay.admin}")
    assert shown.returncode == 0, shown
    assert f"{INSTANCE} paused for" in shown.stdout.decode(), shown.stdout.decode()
    done = run("eventrelay", "subscription", resume, str(INSTANCE), *admin)
    assert done.returncode == 0 and f"is {resume}".encode() in done.stdout, done
    receiver.wait_for(5, 20)
