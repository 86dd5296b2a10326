"""When each alert fires and when it does not, as series a minute (or `step` minutes) apart.

A case is (alert, severity, what is played, series, minute to look at, what fires then). Series have
the notation of promtool: `1+2x30` is 1 and then 30 steps of 2. What fires is the whole set: a case
also says which other alerts stay quiet.
"""

from __future__ import annotations

from typing import NamedTuple

UP = {
    'up{job="eventrelay-ingest",instance="i:1"}': "1x6000",
    'up{job="eventrelay-relay",instance="r:1"}': "1x6000",
}
RELAY = '{job="eventrelay-relay",instance="r:1"}'
# What a second relay owns.
SECOND = 'eventrelay_relay_assigned_partitions{job="eventrelay-relay",instance="r:2"}'


def ingest(name: str, labels: str = "") -> str:
    return f'eventrelay_{name}{{job="eventrelay-ingest",instance="i:1"{labels}}}'


def relay(name: str, labels: str = "") -> str:
    return f'eventrelay_{name}{{job="eventrelay-relay",instance="r:1"{labels}}}'


class Case(NamedTuple):
    alert: str
    severity: str
    plays: str
    series: dict[str, str]
    minute: int
    fires: tuple[str, ...]  # alert/severity
    step: int = 1


def requests(good: str, bad: str) -> dict[str, str]:
    return {
        ingest("ingest_requests_total", ',code="202"'): good,
        ingest("ingest_requests_total", ',code="503"'): bad,
        ingest("ingest_events_total"): good,
    }


def durations(total: str, fast: str) -> dict[str, str]:
    return {
        ingest("ingest_request_duration_seconds_count"): total,
        ingest("ingest_request_duration_seconds_bucket", ',le="1"'): fast,
    }


def ages(total: str, early: str) -> dict[str, str]:
    return {
        relay("relay_first_attempt_age_seconds_count"): total,
        relay("relay_first_attempt_age_seconds_bucket", ',le="30"'): early,
    }


def burns(alert: str, make, much: tuple[str, str], little: tuple[str, str], none: tuple[str, str]):
    """A fast burn pages, and is a ticket too; a slow one is a ticket alone; a clean run neither."""
    page, ticket = f"{alert}/page", f"{alert}/ticket"
    return [
        Case(alert, "page", "a fast burn", make(*much), 90, (page, ticket)),
        Case(alert, "page", "a slow burn", make(*little), 360, (ticket,)),
        Case(alert, "ticket", "a slow burn for days", make(*little), 4400, (ticket,), 10),
        Case(alert, "ticket", "none", make(*none), 4400, (), 10),
    ]


BURNS = [
    *burns(
        "EventrelayIngestErrorBudgetBurn",
        requests,
        ("0+980x90", "0+20x90"),
        ("0+9970x450", "0+30x450"),
        ("0+10000x450", "0+5x450"),
    ),
    *burns(
        "EventrelayIngestSlowBudgetBurn",
        durations,
        ("0+1000x90", "0+800x90"),
        ("0+1000x450", "0+970x450"),
        ("0+1000x450", "0+995x450"),
    ),
    *burns(
        "EventrelayDeliveryLateBudgetBurn",
        ages,
        ("0+1000x90", "0+800x90"),
        ("0+1000x450", "0+970x450"),
        ("0+1000x450", "0+995x450"),
    ),
]


def one(
    alert: str,
    severity: str,
    fires: dict[str, str],
    quiet: dict[str, str],
    minute: int = 60,
    others: tuple[str, ...] = (),
) -> list[Case]:
    return [
        Case(alert, severity, "fires", fires, minute, (f"{alert}/{severity}", *others)),
        Case(alert, severity, "stays quiet", quiet, minute, ()),
    ]


DAY = 86400
CAUSES = [
    *one(
        "EventrelayTargetDown",
        "page",
        {'up{job="eventrelay-relay",instance="r:1"}': "1x10 0x60"},
        {'up{job="eventrelay-relay",instance="r:1"}': "1x10 0x1 1x60"},
        20,
    ),
    *one(
        "EventrelayTargetDown",
        "page",
        {'up{job="eventrelay-relay",instance="r:1"}': "1x10 stale _x60"},
        {'up{job="eventrelay-relay",instance="r:1"}': "1x60"},
        20,
    ),
    *one(
        "EventrelayKafkaUnavailable",
        "page",
        {
            ingest("ingest_rejected_total", ',reason="backpressure"'): "0+50x60",
            ingest("ingest_events_total"): "0+100x10 1000x60",
        },
        # Too much at once, but Kafka takes what it can.
        {
            ingest("ingest_rejected_total", ',reason="backpressure"'): "0+50x60",
            ingest("ingest_events_total"): "0+100x60",
        },
        30,
    ),
    *one(
        "EventrelayKafkaUnavailable",
        "page",
        {ingest("ingest_produce_queue_messages"): "10x60", ingest("ingest_events_total"): "7x60"},
        {ingest("ingest_produce_queue_messages"): "0x60", ingest("ingest_events_total"): "7x60"},
        30,
    ),
    *one(
        "EventrelayKafkaUnavailable",
        "page",
        {
            ingest("ingest_produce_errors_total", ',reason="timeout"'): "0+3x60",
            ingest("ingest_events_total"): "7x60",
        },
        {
            ingest("ingest_produce_errors_total", ',reason="too_large"'): "0+3x60",
            ingest("ingest_events_total"): "7x60",
        },
        30,
    ),
    *one(
        "EventrelayRelayStalled",
        "page",
        {
            relay("relay_oldest_unread_timestamp_seconds"): "60x60",
            relay("relay_events_consumed_total"): "0+100x5 500x60",
        },
        # Behind, but reading.
        {
            relay("relay_oldest_unread_timestamp_seconds"): "60x60",
            relay("relay_events_consumed_total"): "0+100x60",
        },
        30,
    ),
    *one(
        "EventrelayRelayStalled",
        "page",
        {
            relay("relay_oldest_unread_timestamp_seconds"): "60x60",
            relay("relay_events_consumed_total"): "500x60",
        },
        # Nothing unread: 0 and no series both say so.
        {
            relay("relay_oldest_unread_timestamp_seconds"): "0x60",
            relay("relay_events_consumed_total"): "500x60",
        },
        30,
    ),
    *one(
        "EventrelayPartitionsUnassigned",
        "page",
        {
            relay("relay_assigned_partitions"): "6x40 4x60",
            SECOND: "6x100",
        },
        # A hand-over in which both say for a moment that they own the partitions.
        {
            relay("relay_assigned_partitions"): "12x38 12x2 0x60",
            SECOND: "0x38 12x2 12x60",
        },
        60,
    ),
    *one(
        "EventrelayPartitionsUnassigned",
        "page",
        {relay("relay_assigned_partitions"): "12x40 stale _x60"},
        {relay("relay_assigned_partitions"): "12x100"},
        60,
    ),
    *one(
        "EventrelayNotReady",
        "page",
        {relay("ready"): "1x10 0x60"},
        {relay("ready"): "1x10 0x1 1x60"},
        20,
    ),
    *one(
        "EventrelayPartitionBlocked",
        "page",
        {relay("relay_blocked_partitions"): "0x10 2x60"},
        {relay("relay_blocked_partitions"): "0x10 2x1 0x60"},
        20,
    ),
    *one(
        "EventrelayRetentionNear",
        "page",
        {relay("relay_log_start_alerts"): "0x10 1x60"},
        {relay("relay_log_start_alerts"): "0x60"},
        20,
    ),
    *one(
        "EventrelayEventsExpired",
        "page",
        {relay("relay_expired_offsets_total"): "0x10 5x60"},
        {relay("relay_expired_offsets_total"): "5x60"},
        20,
    ),
    *one(
        "EventrelayEndpointsFailing",
        "ticket",
        # Half open every other minute, and yet it fails all the time.
        {relay("relay_circuits_open"): "1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1x20"},
        {relay("relay_circuits_open"): "0x5 1x2 0x60"},
        30,
    ),
    *one(
        "EventrelayEndpointsFailing",
        "ticket",
        {
            relay("relay_deliveries_total", ',outcome="ok"'): "0+70x60",
            relay("relay_deliveries_total", ',outcome="http_5xx"'): "0+30x60",
        },
        {
            relay("relay_deliveries_total", ',outcome="ok"'): "0+90x60",
            relay("relay_deliveries_total", ',outcome="http_5xx"'): "0+10x60",
        },
        30,
    ),
    *one(
        "EventrelayDeadLetters",
        "ticket",
        {relay("relay_dead_letters_total", ',reason="timeout"'): "0x10 1x60"},
        {relay("relay_dead_letters_total", ',reason="timeout"'): "4x60"},
        20,
    ),
    *one(
        "EventrelaySubscriptionAway",
        "ticket",
        {relay("relay_oldest_detached_timestamp_seconds"): "60x200"},
        # Away for half an hour; the next one, later, is another.
        {relay("relay_oldest_detached_timestamp_seconds"): "60x30 0x60 5000x60"},
        120,
    ),
    *one(
        "EventrelaySubscriptionAway",
        "ticket",
        {relay("relay_switched_off_subscriptions"): "0x10 1x60"},
        {relay("relay_switched_off_subscriptions"): "0x60"},
        40,
    ),
    *one(
        "EventrelaySignatureFailures",
        "ticket",
        {
            ingest("ingest_rejected_total", ',reason="signature"'): "0+10x60",
            ingest("ingest_requests_total", ',code="401"'): "0+10x60",
            ingest("ingest_requests_total", ',code="202"'): "0+90x60",
        },
        # Strangers who try: a few among many.
        {
            ingest("ingest_rejected_total", ',reason="signature"'): "0+2x60",
            ingest("ingest_requests_total", ',code="401"'): "0+2x60",
            ingest("ingest_requests_total", ',code="202"'): "0+98x60",
        },
        50,
    ),
    *one(
        "EventrelaySourceSilent",
        "ticket",
        {
            ingest("ingest_source_last_event_timestamp_seconds", ',source="box"'): "60x200",
            'eventrelay:source_silent:threshold_seconds{source="box"}': "3600x200",
        },
        # As silent, but nobody set a threshold for it.
        {
            ingest("ingest_source_last_event_timestamp_seconds", ',source="box"'): "60x200",
            'eventrelay:source_silent:threshold_seconds{source="stripe"}': "3600x200",
        },
        120,
    ),
    *one(
        "EventrelayConfigReloadFailed",
        "ticket",
        {relay("config_last_reload_successful"): "1x10 0x60"},
        {relay("config_last_reload_successful"): "1x60"},
        30,
    ),
    *one(
        "EventrelayConfigSkew",
        "ticket",
        {
            relay("config_hash_info", ',hash="a"'): "1x60",
            'eventrelay_config_hash_info{job="eventrelay-relay",instance="r:2",hash="b"}': "1x60",
        },
        # The two services may differ; the same service may not.
        {
            relay("config_hash_info", ',hash="a"'): "1x60",
            ingest("config_hash_info", ',hash="b"'): "1x60",
        },
        30,
    ),
    *one(
        "EventrelayCertificateExpires",
        "ticket",
        {ingest("tls_certificate_expiry_timestamp_seconds", ',file="c"'): f"{10 * DAY}x60"},
        {ingest("tls_certificate_expiry_timestamp_seconds", ',file="c"'): f"{20 * DAY}x60"},
        30,
    ),
    *one(
        "EventrelayCertificateExpires",
        "page",
        {ingest("tls_certificate_expiry_timestamp_seconds", ',file="c"'): f"{DAY}x60"},
        {ingest("tls_certificate_expiry_timestamp_seconds", ',file="c"'): f"{20 * DAY}x60"},
        30,
        ("EventrelayCertificateExpires/ticket",),
    ),
    *one(
        "EventrelayRebalanceStorm",
        "ticket",
        {relay("kafka_rebalances_total"): "0+1x90"},
        # One rolling restart of a fleet of ten.
        {relay("kafka_rebalances_total"): "0+1x10 10x60"},
        60,
    ),
    *one(
        "EventrelayMemoryNear",
        "ticket",
        {
            "process_resident_memory_bytes" + RELAY: "950x60",
            relay("memory_limit_bytes", ',what="cgroup"'): "1000x60",
        },
        {
            "process_resident_memory_bytes" + RELAY: "800x60",
            relay("memory_limit_bytes", ',what="cgroup"'): "1000x60",
        },
        30,
    ),
    *one(
        "EventrelayLoopLag",
        "ticket",
        {relay("event_loop_lag_seconds"): "0.4x60"},
        {relay("event_loop_lag_seconds"): "0.01x60"},
        30,
    ),
    *one(
        "EventrelayBug",
        "ticket",
        {relay("event_loop_exceptions_total"): "0x10 1x60"},
        {relay("event_loop_exceptions_total"): "0x60"},
        20,
    ),
]
CASES = [*BURNS, *CAUSES]
