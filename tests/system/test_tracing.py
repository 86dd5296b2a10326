"""Spans of a real collector's input: one trace from the request to the callback, and what tracing
costs when it is off or when nobody takes its spans."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import box
from support.load import Load
from support.otlp import Collector, Span
from support.programs import run
from support.receiver import Receiver, Rule
from support.stack import INSTANCE, SECRETS, V1_TOKEN, Stack, feed, judge
from support.tls import Authority
from support.wait import until

TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.close()


def environment(collector: Collector, **more: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **more}


def by_kind(spans: list[Span]) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        found[span.kind].append(span)
    return found


def send(port: int, requests: list[bytes]) -> Load:
    load = Load(port, requests, connections=1)
    load.start()
    return load.finish(20)


def test_one_trace_from_the_request_to_the_callback(
    stack: Stack, receiver: Receiver, collector: Collector
) -> None:
    stack.add_instance(receiver, path="/cb?token=planted-callback-token")
    env = environment(
        collector,
        OTEL_EXPORTER_OTLP_HEADERS="x-tenant=planted-header%2Cvalue",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
    )
    ingest, relay = stack.ingest(env=env), stack.relay(env=env)
    request = box.v2_request(INSTANCE, box.body(1))
    request = request.replace(b"\r\n\r\n", f"\r\ntraceparent: {CALLER}\r\n\r\n".encode(), 1)
    load = send(ingest.port, [request])
    assert load.statuses() == {202: 1}
    (event_id,) = json.loads(load.answers[0].body)["eventIds"]
    receiver.wait_for(1, 20)
    until(lambda: relay.metric("eventrelay_trace_spans_total") == 2, 10, "the attempt has ended")
    assert ingest.metric("eventrelay_trace_spans_total") == 2
    for program in (ingest, relay):
        assert program.metric("eventrelay_trace_spans_dropped_total") == 0
        assert program.end()[0] == 0

    spans = collector.spans()
    kinds = by_kind(spans)
    assert {kind: len(found) for kind, found in kinds.items()} == dict.fromkeys(
        ("SERVER", "PRODUCER", "CONSUMER", "CLIENT"), 1
    )
    server, producer, consumer, client = (
        kinds[kind][0] for kind in ("SERVER", "PRODUCER", "CONSUMER", "CLIENT")
    )
    assert {span.trace for span in spans} == {server.trace}
    assert len({span.id for span in spans}) == 4
    assert not any(span.failed for span in spans)
    # A trace of our own, with a link to the caller's, whoever wrote that.
    assert server.parent == "" and server.trace not in CALLER
    assert server.links == [(CALLER[3:35], CALLER[36:52])]
    assert producer.parent == server.id
    assert consumer.parent == producer.id
    assert consumer.links == [(producer.trace, producer.id)] and consumer.flags & 0x200
    assert client.parent == consumer.id
    # The record carries PRODUCER, the callback CLIENT.
    (record,) = stack.records()
    assert record.headers["traceparent"] == producer.traceparent
    (delivery,) = receiver.deliveries()
    assert delivery.headers["traceparent"] == client.traceparent
    # In time: each inside its parent, and the relay's begins once the record was sent.
    assert server.begin <= producer.begin <= producer.end <= server.end
    assert producer.begin <= consumer.begin <= client.begin <= client.end <= consumer.end

    route = box.BASE + "/events/{element}/{instance}"
    assert server.name == f"POST {route}"
    assert server.attributes == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "http.route": route,
        "url.path": box.path(INSTANCE),
        "http.response.status_code": 202,
    }
    topic = stack.events
    assert producer.name == f"send {topic}"
    assert producer.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        "messaging.message.id": event_id,
        "messaging.message.body.size": len(record.value),
        "messaging.kafka.message.key": str(INSTANCE),
        "eventrelay.source": "box",
    }
    assert consumer.name == f"process {topic}"
    assert consumer.attributes.pop("eventrelay.subscription") == str(INSTANCE)
    assert consumer.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
        "messaging.consumer.group.name": stack.group,
        "messaging.message.id": event_id,
        "messaging.message.body.size": len(record.value),
        "messaging.kafka.message.key": str(INSTANCE),
        "eventrelay.attempt": 1,
    }
    assert client.name == "POST"
    assert client.attributes == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": receiver.port,
        "http.response.status_code": 200,
        "eventrelay.attempt": 1,
    }
    services = {span.kind: span.resource["service.name"] for span in spans}
    assert services == {
        "SERVER": "eventrelay-ingest",
        "PRODUCER": "eventrelay-ingest",
        "CONSUMER": "eventrelay-relay",
        "CLIENT": "eventrelay-relay",
    }
    assert {span.resource["deployment.environment.name"] for span in spans} == {"test"}
    # What was sent says nothing that is not for a collector, and came as it was asked for.
    for path, headers, body in collector.requests:
        assert path == "/v1/traces"
        assert headers["content-type"] == "application/x-protobuf"
        assert headers["x-tenant"] == "planted-header,value"
        for secret in [*SECRETS, "planted-callback-token", "planted-header"]:
            assert secret.encode() not in body
    for program in (ingest, relay):
        assert "planted-header" not in program.log()


def test_each_attempt_has_its_spans(stack: Stack, receiver: Receiver, collector: Collector) -> None:
    stack.config["retry"] = {"delays": ["200ms"], "jitter": 0}
    stack.add_instance(receiver)
    receiver.answer("/cb", Rule(status=503, times=1))
    env = environment(collector)
    ingest, relay = stack.ingest(env=env), stack.relay(env=env)
    assert send(ingest.port, [box.v2_request(INSTANCE, box.body(1))]).statuses() == {202: 1}
    receiver.wait_for(2, 20)
    until(lambda: relay.metric("eventrelay_trace_spans_total") == 4, 10, "both attempts have ended")
    assert relay.end()[0] == 0 and ingest.end()[0] == 0
    kinds = by_kind(collector.spans())
    (producer,) = kinds["PRODUCER"]
    first, second = sorted(kinds["CLIENT"], key=lambda span: span.begin)
    assert [d.headers["traceparent"] for d in receiver.deliveries()] == [
        first.traceparent,
        second.traceparent,
    ]
    assert (first.failed, second.failed) == (True, False)
    assert first.attributes["error.type"] == "http_5xx"
    assert first.attributes["http.response.status_code"] == 503
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert [span.attributes["eventrelay.attempt"] for span in (first, second)] == [1, 2]
    parents = {span.id: span for span in kinds["CONSUMER"]}
    assert parents[first.parent].attributes["error.type"] == "http_5xx"
    # The parked event has a place in the delay topic, which is not the topic that is named.
    assert "messaging.kafka.offset" in parents[first.parent].attributes
    assert "messaging.kafka.offset" not in parents[second.parent].attributes
    assert {span.parent for span in kinds["CONSUMER"]} == {producer.id}


def test_the_events_of_one_request_are_one_trace(
    stack: Stack, receiver: Receiver, collector: Collector
) -> None:
    users = ["226067247", "226067248"]
    for number, user in enumerate(users, 100):
        stack.add_instance(receiver, number, f"/cb/{number}", user=user)
    env = environment(collector)
    ingest, relay = stack.ingest(env=env), stack.relay(env=env)
    call = box.v1_request(users, "5000", V1_TOKEN)
    assert send(ingest.port, [call]).statuses() == {202: 1}
    receiver.wait_for(2, 20)
    until(lambda: relay.metric("eventrelay_trace_spans_total") == 4, 10, "both attempts have ended")
    assert relay.end()[0] == 0 and ingest.end()[0] == 0
    kinds = by_kind(collector.spans())
    assert {kind: len(found) for kind, found in kinds.items()} == {
        "SERVER": 1,
        "PRODUCER": 1,
        "CONSUMER": 2,
        "CLIENT": 2,
    }
    (server,), (producer,) = kinds["SERVER"], kinds["PRODUCER"]
    # The token of the call is in its URL or its body, and nowhere in a span.
    assert server.attributes["url.path"] == f"{box.BASE}/events/box"
    assert server.attributes["http.route"] == f"{box.BASE}" + "/events/{element}"
    assert not any(V1_TOKEN.encode() in body for _, _, body in collector.requests)
    assert producer.attributes["messaging.batch.message_count"] == 2
    assert "messaging.message.id" not in producer.attributes
    assert {span.parent for span in kinds["CONSUMER"]} == {producer.id}
    assert len({span.attributes["messaging.message.id"] for span in kinds["CONSUMER"]}) == 2
    assert {d.headers["traceparent"] for d in receiver.deliveries()} == {
        span.traceparent for span in kinds["CLIENT"]
    }


def test_a_refused_request_is_a_trace_of_one_span(
    stack: Stack, receiver: Receiver, collector: Collector
) -> None:
    stack.add_instance(receiver)
    ingest = stack.ingest(env=environment(collector))
    wrong = box.v2_request(INSTANCE, box.body(1)).replace(b"FILE.UPLOADED", b"FILE.TAMPERED")
    unknown = box.http(
        "POST", f"{box.BASE}/events/nobody/1?token=planted", [("Content-Length", "0")]
    )
    assert send(ingest.port, [wrong, unknown]).statuses() == {401: 1, 404: 1}
    assert ingest.end()[0] == 0
    spans = {span.attributes["http.response.status_code"]: span for span in collector.spans()}
    assert set(spans) == {401, 404} and len(collector.spans()) == 2
    assert spans[401].name == f"POST {box.BASE}" + "/events/{element}/{instance}"
    assert spans[404].name == "POST" and "url.path" not in spans[404].attributes
    # What a client did wrong is no failure of ours.
    assert not any(span.failed or "error.type" in span.attributes for span in spans.values())
    assert not any(b"planted" in body for _, _, body in collector.requests)


def test_without_an_endpoint_nothing_is_sampled(
    stack: Stack, receiver: Receiver, collector: Collector
) -> None:
    stack.add_instance(receiver)
    for env in (
        {"OTEL_TRACES_SAMPLER": "always_on"},
        environment(collector, OTEL_SDK_DISABLED="true"),
    ):
        receiver.clear()
        ingest, relay = stack.ingest(env=env), stack.relay(env=env)
        _, load = feed(ingest.port, 20)
        assert load.finish(20).statuses() == {202: 20}
        receiver.wait_for(20, 20)
        for delivery in receiver.deliveries():
            assert TRACEPARENT.fullmatch(delivery.headers["traceparent"])
            assert delivery.headers["traceparent"].endswith("-00")
        for program in (ingest, relay):
            assert program.metric("eventrelay_trace_spans_total") == 0
            assert program.metric("eventrelay_trace_spans_dropped_total") == 0
            assert program.end()[0] == 0
    assert collector.requests == []


def test_a_trace_is_sampled_whole_or_not_at_all(
    stack: Stack, receiver: Receiver, collector: Collector, report
) -> None:
    stack.add_instance(receiver, concurrency=32)
    env = environment(
        collector, OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.25"
    )
    # The relay follows the flag: its own sampler has nothing to say.
    ingest = stack.ingest(env=env)
    relay = stack.relay(env={**env, "OTEL_TRACES_SAMPLER": "always_off"})
    bodies, load = feed(ingest.port, 600, connections=8)
    assert load.finish(60).statuses() == {202: 600}
    receiver.wait_for(600, 60)
    stack.wait_committed()
    assert relay.end()[0] == 0 and ingest.end()[0] == 0
    assert judge(receiver.deliveries(), bodies).lost == []
    flags = Counter(d.headers["traceparent"][-2:] for d in receiver.deliveries())
    report(f"{flags['01']} of 600 sampled")
    assert set(flags) == {"00", "01"} and 90 < flags["01"] < 220
    sampled = {
        d.headers["traceparent"][3:35]
        for d in receiver.deliveries()
        if d.headers["traceparent"].endswith("01")
    }
    traces = defaultdict(Counter)
    for span in collector.spans():
        traces[span.trace][span.kind] += 1
    assert set(traces) == sampled
    whole = dict.fromkeys(("SERVER", "PRODUCER", "CONSUMER", "CLIENT"), 1)
    assert all(dict(kinds) == whole for kinds in traces.values())


def test_a_collector_that_is_away_costs_spans_and_no_event(
    stack: Stack, receiver: Receiver, report
) -> None:
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{taken.getsockname()[1]}"}
        stack.add_instance(receiver, concurrency=64)
        ingest, relay = stack.ingest(env=env), stack.relay(env=env)
        count = 3000
        bodies, load = feed(ingest.port, count, connections=32)
        assert load.finish(60).statuses() == {202: count}
        receiver.wait_for(count, 60)
        stack.wait_committed()
        verdict = judge(receiver.deliveries(), bodies)
        assert (verdict.lost, verdict.doubles, verdict.wrong) == ([], 0, [])
        dropped = {}
        for program in (ingest, relay):
            assert program.metric("eventrelay_trace_spans_total") == 2 * count
            # A queue and the batch in hand are kept, the rest has been let go already.
            dropped[program.name] = program.metric("eventrelay_trace_spans_dropped_total")
            assert 2 * count - 2048 - 512 <= dropped[program.name] <= 2 * count
            code, seconds = program.end()
            assert code == 0 and seconds < 15
            (line,) = program.said("spans are dropped: the collector does not take them")
            assert line["level"] == "warn"
        report(f"{count} events, spans dropped while they ran: {dropped}")


def test_a_collector_that_does_not_answer_does_not_hold_up_the_end(
    stack: Stack, receiver: Receiver
) -> None:
    with socket.socket() as silent:  # takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        stack.add_instance(receiver)
        ingest, relay = stack.ingest(env=env), stack.relay(env=env)
        assert send(ingest.port, [box.v2_request(INSTANCE, box.body(1))]).statuses() == {202: 1}
        receiver.wait_for(1, 20)
        for program in (ingest, relay):
            code, seconds = program.end()
            assert code == 0 and seconds < 12


def test_the_collector_s_certificate_is_verified(
    stack: Stack, receiver: Receiver, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    sealed = Collector(*authority.issue("collector", "IP:127.0.0.1"))
    other = Collector(*authority.issue("other", "DNS:elsewhere.example"))
    try:
        stack.add_instance(receiver)
        trusted = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority.cert)}
        for env, taken in (
            (environment(sealed, **trusted), 1),
            (environment(sealed), 0),  # an authority that nobody knows
            (environment(other, **trusted), 0),  # the certificate of another host
        ):
            sealed.requests.clear()
            ingest = stack.ingest(env=env)
            assert send(ingest.port, [box.v2_request(INSTANCE, box.body(1))]).statuses() == {202: 1}
            assert ingest.end()[0] == 0
            assert len(sealed.requests) == taken and other.requests == []
            told = ingest.said("spans are dropped: the collector does not take them")
            assert len(told) == 1 - taken
    finally:
        sealed.close()
        other.close()


@pytest.mark.parametrize(
    "name,value,told",
    [
        ("OTEL_TRACES_SAMPLER", "sometimes", "'sometimes' is none of always_on, "),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "'10s' is not a whole number of milliseconds from 1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must begin with https:// or http://"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "planted-secret", "member 1 is not key=value"),
        ("OTEL_SDK_DISABLED", "1", "'1' is neither true nor false"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem", "/nowhere.pem"),
    ],
)
def test_a_wrong_variable_ends_every_program_with_78(
    stack: Stack, receiver: Receiver, name: str, value: str, told: str
) -> None:
    stack.add_instance(receiver)
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:4318", name: value}
    path = str(stack.write())
    for command in (
        ("eventrelay-ingest", "-c", path),
        ("eventrelay-relay", "-c", path),
        ("eventrelay", "check-config", "-c", path),
    ):
        ended = run(*command, env=env)
        text = ended.stderr.decode()
        assert ended.returncode == 78, (command, text)
        assert f"{name}: " in text and told in text
        assert "planted-secret" not in text and len(text.splitlines()) == 1
