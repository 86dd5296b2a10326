"""What an operator sees: health, readiness, metrics, status, reload, logs; and never a secret."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support import box
from support.programs import ROOT, run
from support.stack import INSTANCE, SECRETS, Stack, feed
from support.wait import until
from support.wire import exchange


def promtool(text: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(ROOT / ".ci/promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_promtool_itself_finds_a_bad_metric() -> None:
    assert promtool("# TYPE a counter\na 1\n").returncode != 0


@pytest.fixture
def both(stack: Stack, receiver):
    stack.add_instance(receiver)
    pair = stack.ingest(), stack.relay()
    bodies, load = feed(pair[0].port, 50, connections=2)
    load.finish(20)
    # Some refusals too, so that those series move.
    exchange(pair[0].port, box.http("POST", box.path(INSTANCE), [], b"{}"))
    receiver.wait_for(50, 20)
    return pair


def test_metrics_are_clean_and_complete(both) -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.M))
    for program in both:
        status, text = program.get("/metrics")
        assert status == 200
        judged = promtool(text)
        assert judged.returncode == 0, judged.stdout + judged.stderr
        for line in text.splitlines():
            name = line.removeprefix("# HELP ").removeprefix("# TYPE ")
            assert name.startswith(("eventrelay_", "process_")), line
        exposed = set(re.findall(r"^# TYPE (\w+) ", text, re.M))
        assert len(exposed) > 30 and exposed <= described, exposed - described
    ingest, relay = both
    assert ingest.metric("eventrelay_ingest_events_total") == 50
    assert ingest.metric('eventrelay_ingest_requests_total{code="401"}') == 1
    assert ingest.metric('eventrelay_ingest_rejected_total{reason="signature"}') == 1
    assert ingest.metric("eventrelay_ingest_request_duration_seconds_count") == 51
    # Box signs with both of its keys.
    for slot, uses in (("primary", 50), ("secondary", 50), ("third", 0)):
        series = f'eventrelay_ingest_signature_key_uses_total{{source="box",slot="{slot}"}}'
        assert ingest.metric(series) == uses
    last = ingest.metric('eventrelay_ingest_source_last_event_timestamp_seconds{source="box"}')
    assert 0 <= time.time() - last < 60
    assert relay.metric("eventrelay_relay_first_attempt_age_seconds_count") == 50
    assert relay.metric('eventrelay_relay_first_attempt_age_seconds_bucket{le="30"}') == 50
    until(
        lambda: "eventrelay_relay_oldest_unread_timestamp_seconds " not in relay.get("/metrics")[1],
        10,
        "all is read",
    )
    until(
        lambda: relay.metric('eventrelay_kafka_consumer_lag_messages{topic="events"}') == 0,
        15,
        "nothing is behind",
    )
    assert relay.metric('eventrelay_kafka_consumer_lag_messages{topic="retry.5s"}') == 0
    assert relay.metric('eventrelay_relay_retries_total{stage="1"}') == 0
    assert relay.metric("eventrelay_relay_events_consumed_total") == 50
    assert relay.metric('eventrelay_relay_deliveries_total{outcome="ok"}') == 50
    assert relay.metric("eventrelay_relay_event_age_seconds_count") == 50
    assert "eventrelay_relay_" not in ingest.get("/metrics")[1]
    assert "eventrelay_ingest_" not in relay.get("/metrics")[1]
    for program in both:
        assert program.metric("eventrelay_build_info") == 1
        assert program.metric("process_resident_memory_bytes") > 2**20


def test_admin_answers(both) -> None:
    for program in both:
        assert program.get("/healthz")[0] == 200
        assert program.get("/readyz")[0] == 200
        json.loads(program.get("/readyz")[1])
        version = json.loads(program.get("/version")[1])
        assert {"version", "commit", "compiler"} <= set(version)
        status, body = program.get("/api/v1/status")
        assert status == 200 and isinstance(json.loads(body), dict)
        assert program.get("/nothing")[0] == 404
        assert program.get("/-/reload")[0] == 405
        assert program.get("/metrics", "POST")[0] == 405
        assert program.get("/-/reload", "POST")[0] == 200


def test_admin_off_loopback_needs_its_token(stack: Stack, receiver, tmp_path: Path) -> None:
    stack.add_instance(receiver)
    token = tmp_path / "token"
    token.write_text("planted-admin-token\n")
    stack.config["admin"] = {"listen": "0.0.0.0:0", "token_file": str(token)}
    ingest = stack.start("ingest", ready=False)
    ingest.wait_ready()

    def ask(path: str, bearer: str | None) -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{ingest.admin}{path}")
        if bearer is not None:
            request.add_header("Authorization", f"Bearer {bearer}")
        try:
            return urllib.request.urlopen(request, timeout=5).status
        except urllib.error.HTTPError as error:
            return error.code

    for path in ("/metrics", "/api/v1/status"):
        assert ask(path, None) == 401
        assert ask(path, "wrong") == 401
        assert ask(path, "planted-admin-token") == 200
    assert ask("/healthz", None) == 200
    assert "planted-admin-token" not in ingest.log()


def test_no_secret_is_told_anywhere(both, stack: Stack) -> None:
    path = str(stack.write())
    told = [
        program.get(place)[1]
        for program in both
        for place in ("/metrics", "/api/v1/status", "/version", "/readyz")
    ]
    told += [program.log() for program in both]
    for command in ("print-config", "check-config"):
        done = run("eventrelay", command, "-c", path)
        assert done.returncode == 0, done.stderr.decode()
        told.append(done.stdout.decode() + done.stderr.decode())
    assert "***" in told[-2], "print-config shows that there is a secret"
    # A wrong file tells no secret either.
    for program in both:
        Path(path).write_text(json.dumps(stack.config).replace('"topics"', '"topcis"'))
        told.append(program.get("/-/reload", "POST")[1])
        told.append(program.log())
    for text in told:
        for secret in SECRETS:
            assert secret not in text


def test_log_lines_are_json_and_few(both) -> None:
    for program in both:
        lines = program.lines()
        assert lines and not [line for line in lines if line.get("raw")]
        for line in lines:
            assert {"ts", "level", "msg"} <= set(line)
        assert len(lines) < 40, "a line per change of decision, not per event"


def test_public_port_serves_events_only(both) -> None:
    for target in ("/healthz", "/readyz", "/metrics", "/version", "/api/v1/status", "/-/reload"):
        got = exchange(both[0].port, box.http("GET", target, []))
        assert got.replies[0].status == 404
