"""A new configuration under load: no request fails, a bad file changes nothing."""

from __future__ import annotations

import json
import signal

from support import box
from support.load import Load
from support.stack import INSTANCE, Stack, feed, judge
from support.wait import until

RELOADED = "eventrelay_config_last_reload_success_timestamp_seconds"


def test_reload_under_load_fails_no_request(stack: Stack, receiver, report) -> None:
    stack.add_instance(receiver, concurrency=32)
    ingest, relay = stack.ingest(), stack.relay()
    count = 6000
    bodies, load = feed(ingest.port, count, connections=16, rate=1500)
    turns = 0
    while load.is_alive() and turns < 60:
        turns += 1
        # Each turn changes another instance and another limit, so every reload changes something.
        stack.config["instances"] = stack.config["instances"][:1]
        stack.add_instance(receiver, 1000 + turns, f"/cb/{turns}")
        stack.config["instances"][0]["delivery"]["concurrency"] = 16 + turns % 16
        stack.write()
        answered = len(load.answers)
        ingest.reload()
        relay.reload()
        until(
            lambda n=answered: len(load.answers) >= min(count, n + 80) or not load.is_alive(),
            30,
            "load goes on",
        )
    load.finish(60)
    receiver.wait_for(count, 60)
    stack.wait_committed()
    verdict = judge(receiver.deliveries("/cb"), bodies)
    report(f"{turns} reloads, answers {dict(load.statuses())}, {verdict}")
    assert turns >= 20
    assert load.statuses() == {202: count}
    assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])
    # The last one is in force.
    _, last = feed(ingest.port, 1, 1000 + turns, 50_000, connections=1)
    assert last.finish(20).statuses() == {202: 1}
    receiver.wait_for(1, 20, f"/cb/{turns}")


def test_bad_file_keeps_the_old_configuration(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    ingest, relay = stack.ingest(), stack.relay()
    path = stack.write()
    good = path.read_text()
    for text in (
        "version: 1\ninstances: [",
        good.replace('"partitions": 6', '"partitions": 0'),
        good.replace('"relay":', '"relai":'),
        "",
    ):
        path.write_text(text)
        for program in (ingest, relay):
            code, body = program.get("/-/reload", "POST")
            assert code >= 400, body
            assert program.metric("eventrelay_config_last_reload_successful") == 0
    ingest.reload()
    until(lambda: any(line.get("level") == "error" for line in ingest.lines()), 10, "an error line")
    bodies, load = feed(ingest.port, 20, connections=2)
    assert load.finish(20).statuses() == {202: 20}
    receiver.wait_for(20, 20)
    assert judge(receiver.deliveries(), bodies).wrong == []
    path.write_text(good)
    for program in (ingest, relay):
        assert program.get("/-/reload", "POST")[0] == 200
        assert program.metric("eventrelay_config_last_reload_successful") == 1


def test_reload_takes_new_keys_and_drops_instances(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    stack.add_instance(receiver, 5)
    ingest = stack.ingest()
    raw = box.body(1)
    stack.config["sources"]["box"]["keys"] = ["another-primary", "another-secondary"]
    stack.config["instances"].pop()
    stack.write()
    ingest.process.send_signal(signal.SIGHUP)

    def answer(request: bytes) -> int:
        load = Load(ingest.port, [request], 1)
        load.start()
        return load.finish(10).answers[0].status

    until(lambda: answer(box.v2_request(INSTANCE, raw)) == 401, 10, "the old key is refused")
    headers = box.v2_headers(raw, keys=("another-primary", "another-secondary"))
    headers.append(("Content-Type", "application/json"))
    assert answer(box.http("POST", box.path(INSTANCE), headers, raw)) == 202
    assert answer(box.http("POST", box.path(5), headers, raw)) == 404


def test_keys_that_need_a_restart_are_named(stack: Stack, receiver) -> None:
    stack.add_instance(receiver)
    ingest = stack.ingest()
    stack.config["ingest"]["shards"] = 2
    stack.write()
    code, body = ingest.get("/-/reload", "POST")
    assert code == 200
    until(lambda: "ingest.shards" in ingest.log() + body, 10, "the key is named")
    assert json.dumps(stack.config)
