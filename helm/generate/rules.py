"""Recording rules and alerts, from the two tables of this file.

`build(scale)` divides every duration by `scale`: a test plays in minutes what takes hours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable

import yaml

RUNBOOKS = "file:///usr/share/doc/eventrelay/runbooks.md"
JOBS = "eventrelay-(ingest|relay|control)"
MINUTE, HOUR, DAY = 60, 3600, 86400

# Alerts that may fire together with an alert (`stall` is a set of three).
STALL = ("EventrelayRelayStalled", "EventrelayPartitionsUnassigned", "EventrelayNotReady")


class Clock:
    """Durations of the rules, divided by a scale. A duration has whole seconds, at least one."""

    def __init__(self, scale: int):
        self.scale = scale

    def seconds(self, real: int) -> int:
        return max(1, round(real / self.scale))

    def __call__(self, real: int) -> str:
        seconds = self.seconds(real)
        for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
            if seconds % size == 0:
                return f"{seconds // size}{unit}"
        return f"{seconds}s"


@dataclass(frozen=True)
class Objective:
    """A promise in per cent, and the share of what broke it, as PromQL with {w} for the window."""

    name: str
    alert: str
    percent: float
    promise: str
    bad: str
    total: str

    @property
    def budget(self) -> float:
        return round(1 - self.percent / 100, 6)


OBJECTIVES = (
    Objective(
        "ingest_errors",
        "EventrelayIngestErrorBudgetBurn",
        99.9,
        "ingest answers without 5xx",
        'sum by (namespace) (rate(eventrelay_ingest_requests_total{{code=~"5.."}}[{w}]))',
        "sum by (namespace) (rate(eventrelay_ingest_requests_total[{w}]))",
    ),
    Objective(
        "ingest_slow",
        "EventrelayIngestSlowBudgetBurn",
        99,
        "ingest answers within 1 s",
        "sum by (namespace) (rate(eventrelay_ingest_request_duration_seconds_count[{w}])) - "
        'sum by (namespace) (rate(eventrelay_ingest_request_duration_seconds_bucket{{le="1"}}[{w}]))',
        "sum by (namespace) (rate(eventrelay_ingest_request_duration_seconds_count[{w}]))",
    ),
    Objective(
        "delivery_late",
        "EventrelayDeliveryLateBudgetBurn",
        99,
        "an event's first attempt begins within 30 s",
        "sum by (namespace) (rate(eventrelay_relay_first_attempt_age_seconds_count[{w}])) - "
        'sum by (namespace) (rate(eventrelay_relay_first_attempt_age_seconds_bucket{{le="30"}}[{w}]))',
        "sum by (namespace) (rate(eventrelay_relay_first_attempt_age_seconds_count[{w}]))",
    ),
)
# How fast the budget burns, over which long and short window, and whether that wakes somebody.
BURNS = (
    ("page", ((14.4, HOUR, 5 * MINUTE), (6, 6 * HOUR, 30 * MINUTE))),
    ("ticket", ((1, 3 * DAY, 6 * HOUR),)),
)


@dataclass(frozen=True)
class Alert:
    name: str
    severity: str
    expr: Callable[[Clock], str]
    lasts: int  # seconds
    summary: str
    description: str
    when: str  # for the docs: fires when
    comes_with: tuple[str, ...] = field(default=())


def burn_record(objective: Objective, window: int) -> str:
    return f"eventrelay:{objective.name}:ratio_rate{Clock(1)(window)}"


def burn_alerts() -> list[Alert]:
    made = []
    for objective in OBJECTIVES:
        for severity, pairs in BURNS:

            def expr(_: Clock, objective: Objective = objective, pairs: Any = pairs) -> str:
                return " or ".join(
                    f"({burn_record(objective, long)} > {factor * objective.budget:.6g}"
                    f" and {burn_record(objective, short)} > {factor * objective.budget:.6g})"
                    for factor, long, short in pairs
                )

            spans = " or ".join(
                f"{factor:g} times over {Clock(1)(long)} and {Clock(1)(short)}"
                for factor, long, short in pairs
            )
            made.append(
                Alert(
                    objective.alert,
                    severity,
                    expr,
                    2 * MINUTE if severity == "page" else HOUR // 4,
                    f"The budget of `{objective.promise}` burns too fast",
                    f"{{{{ $value | humanizePercentage }}}} break the promise that {objective.promise} "
                    f"({objective.percent:g} %): the budget burns at {spans}.",
                    f"`{objective.promise}` ({objective.percent:g} %) burns its budget {spans}",
                    ("*",),
                )
            )
    return made


def down(c: Clock) -> str:
    return (
        f'up{{job=~"{JOBS}"}} == 0 or absent(up{{job="eventrelay-ingest"}})'
        ' or absent(up{job="eventrelay-relay"})'
    )


def kafka_unavailable(c: Clock) -> str:
    w = c(2 * MINUTE)
    return (
        "(sum by (namespace) (increase("
        f'eventrelay_ingest_rejected_total{{reason="backpressure"}}[{w}])) > 0'
        " or sum by (namespace) (increase(eventrelay_ingest_produce_errors_total"
        f'{{reason=~"timeout|broker|fatal"}}[{w}])) > 0'
        " or sum by (namespace) (eventrelay_ingest_produce_queue_messages) > 0)"
        f" unless sum by (namespace) (increase(eventrelay_ingest_events_total[{w}])) > 0"
    )


def stalled(c: Clock) -> str:
    return (
        "max by (namespace) (time() - (eventrelay_relay_oldest_unread_timestamp_seconds > 0))"
        f" > {c.seconds(2 * MINUTE)} and sum by (namespace)"
        f" (increase(eventrelay_relay_events_consumed_total[{c(5 * MINUTE)}])) == 0"
    )


def unassigned(c: Clock) -> str:
    usual = f"quantile_over_time(0.5, eventrelay:relay_assigned_partitions:sum[{c(6 * HOUR)}])"
    return f"{usual} > (eventrelay:relay_assigned_partitions:sum or 0 * {usual})"


def endpoints_failing(c: Clock) -> str:
    w = c(5 * MINUTE)
    failed = f'sum by (namespace) (rate(eventrelay_relay_deliveries_total{{outcome!="ok"}}[{w}]))'
    every = f"sum by (namespace) (rate(eventrelay_relay_deliveries_total[{w}]))"
    return (
        f"sum by (namespace) (max_over_time(eventrelay_relay_circuits_open[{w}])) > 0"
        f" or {failed} / {every} > 0.2"
    )


def detached(c: Clock) -> str:
    return (
        "max by (namespace) (time() - (eventrelay_relay_oldest_detached_timestamp_seconds > 0))"
        f" > {c.seconds(HOUR)}"
        " or sum by (namespace) (eventrelay_relay_switched_off_subscriptions) > 0"
    )


def signatures(c: Clock) -> str:
    w = c(15 * MINUTE)
    wrong = 'eventrelay_ingest_rejected_total{reason="signature"}'
    refused = f"sum by (namespace) (increase({wrong}[{w}]))"
    every = f"sum by (namespace) (increase(eventrelay_ingest_requests_total[{w}]))"
    return f"{refused} > 10 and {refused} / {every} > 0.05"


def silent(c: Clock) -> str:
    return (
        "max by (namespace, source) "
        "(time() - (eventrelay_ingest_source_last_event_timestamp_seconds > 0))"
        " > on (source) group_left () eventrelay:source_silent:threshold_seconds"
    )


def skew(c: Clock) -> str:
    return (
        "count by (namespace, job)"
        " (count by (namespace, job, hash) (eventrelay_config_hash_info)) > 1"
    )


def certificate(limit: int) -> Callable[[Clock], str]:
    # A certificate ends by the calendar, so its time is not scaled.
    return lambda c: (
        "min by (namespace, job, file) "
        f"(eventrelay_tls_certificate_expiry_timestamp_seconds - time()) < {limit}"
    )


def storm(c: Clock) -> str:
    return (
        f"avg by (namespace) (increase(eventrelay_kafka_rebalances_total[{c(15 * MINUTE)}])) > 10"
    )


def memory(c: Clock) -> str:
    return (
        "process_resident_memory_bytes / on (namespace, job, instance) "
        'eventrelay_memory_limit_bytes{what="cgroup"} > 0.9'
    )


def simple(expr: str) -> Callable[[Clock], str]:
    return lambda c: expr


CAUSES = (
    Alert(
        "EventrelayTargetDown",
        "page",
        down,
        3 * MINUTE,
        "A service is down or nobody scrapes it",
        "{{ $labels.job }} {{ $labels.instance }} does not answer, or has no target at all.",
        "`up == 0`, or no target",
        STALL,
    ),
    Alert(
        "EventrelayKafkaUnavailable",
        "page",
        kafka_unavailable,
        MINUTE,
        "Kafka acknowledges nothing",
        "No record was acknowledged for 2 minutes while webhooks came: they are answered 503.",
        "records are not acknowledged",
        STALL,
    ),
    Alert(
        "EventrelayRelayStalled",
        "page",
        stalled,
        2 * MINUTE,
        "The relay reads nothing although events wait",
        "The oldest unread event waits {{ $value | humanizeDuration }} and no relay reads.",
        "events wait and none is read",
        STALL,
    ),
    Alert(
        "EventrelayPartitionsUnassigned",
        "page",
        unassigned,
        3 * MINUTE,
        "Partitions without a relay",
        "Fewer partitions are owned than the {{ $value }} of the last hours: their events wait.",
        "fewer partitions are owned than before",
        STALL,
    ),
    Alert(
        "EventrelayNotReady",
        "page",
        simple("min by (namespace, job, instance) (eventrelay_ready) == 0"),
        3 * MINUTE,
        "A service says that it is not ready",
        "{{ $labels.job }} {{ $labels.instance }} answers /readyz with 503; its body says why.",
        "a process is up and not ready",
        STALL,
    ),
    Alert(
        "EventrelayPartitionBlocked",
        "page",
        simple("sum by (namespace) (eventrelay_relay_blocked_partitions) > 0"),
        2 * MINUTE,
        "Partitions wait because a record can not be written",
        "{{ $value }} partitions wait: a delay, dead-letter or state record is not taken.",
        "a delay, dead-letter or state record cannot be written",
        (*STALL, "EventrelayDeadLetters", "EventrelayEndpointsFailing"),
    ),
    Alert(
        "EventrelayRetentionNear",
        "page",
        simple("sum by (namespace) (eventrelay_relay_log_start_alerts) > 0"),
        5 * MINUTE,
        "Retention comes near what is not delivered",
        "In {{ $value }} partitions retention will soon take events that are not delivered.",
        "undelivered events near the log start",
    ),
    Alert(
        "EventrelayEventsExpired",
        "page",
        lambda c: "sum by (namespace) (increase("
        f"eventrelay_relay_expired_offsets_total[{c(HOUR)}])) > 0",
        0,
        "Events were lost to retention",
        "Retention took about {{ $value }} offsets before they were delivered.",
        "retention took undelivered events",
    ),
    Alert(
        "EventrelayEndpointsFailing",
        "ticket",
        endpoints_failing,
        10 * MINUTE,
        "Subscribers do not take events",
        "An endpoint may not be called for its failures, or a fifth of all attempts fail.",
        "an endpoint's breaker stays open, or a fifth of the attempts fail",
        ("EventrelayDeadLetters", "EventrelaySubscriptionAway"),
    ),
    Alert(
        "EventrelayDeadLetters",
        "ticket",
        lambda c: "sum by (namespace) (increase("
        f"eventrelay_relay_dead_letters_total[{c(HOUR)}])) > 0",
        0,
        "Events were given up",
        "About {{ $value }} events went to the dead letters in the last hour.",
        "an event was given up",
        ("EventrelayEndpointsFailing", "EventrelaySubscriptionAway"),
    ),
    Alert(
        "EventrelaySubscriptionAway",
        "ticket",
        detached,
        15 * MINUTE,
        "A subscription is detached for long, or paused",
        "Its events wait in the log, for as long as the log keeps them.",
        "a subscription is detached for an hour, or paused",
        ("EventrelayEndpointsFailing", "EventrelayDeadLetters"),
    ),
    Alert(
        "EventrelaySignatureFailures",
        "ticket",
        signatures,
        15 * MINUTE,
        "Webhooks fail their signature",
        "{{ $value | humanizePercentage }} of the webhooks are not genuine by the keys we have.",
        "a twentieth of the webhooks is refused for its signature",
    ),
    Alert(
        "EventrelaySourceSilent",
        "ticket",
        silent,
        5 * MINUTE,
        "A provider sends nothing",
        "{{ $labels.source }} sent its last event {{ $value | humanizeDuration }} ago.",
        "a source with a threshold sends nothing for longer",
    ),
    Alert(
        "EventrelayConfigReloadFailed",
        "ticket",
        simple(
            "min by (namespace, job, instance) (eventrelay_config_last_reload_successful)" " == 0"
        ),
        5 * MINUTE,
        "A configuration was not taken",
        "{{ $labels.job }} {{ $labels.instance }} goes on with the former one; its log says why.",
        "the last reload failed",
    ),
    Alert(
        "EventrelayConfigSkew",
        "ticket",
        skew,
        15 * MINUTE,
        "Processes of one service run different configurations",
        "{{ $labels.job }} has {{ $value }} configurations at once.",
        "processes of one service have different configurations",
        ("EventrelayConfigReloadFailed",),
    ),
    Alert(
        "EventrelayCertificateExpires",
        "ticket",
        certificate(14 * DAY),
        15 * MINUTE,
        "A certificate expires within two weeks",
        "{{ $labels.file }} of {{ $labels.job }} expires in {{ $value | humanizeDuration }}.",
        "a certificate ends within 14 days",
    ),
    Alert(
        "EventrelayCertificateExpires",
        "page",
        certificate(2 * DAY),
        15 * MINUTE,
        "A certificate expires within two days",
        "{{ $labels.file }} of {{ $labels.job }} expires in {{ $value | humanizeDuration }}.",
        "a certificate ends within 2 days",
        ("EventrelayCertificateExpires",),
    ),
    Alert(
        "EventrelayRebalanceStorm",
        "ticket",
        storm,
        15 * MINUTE,
        "Partitions move all the time",
        "Each relay took part in {{ $value }} assignments in 15 minutes.",
        "a relay takes or gives up partitions more than 10 times in 15 minutes",
        STALL,
    ),
    Alert(
        "EventrelayMemoryNear",
        "ticket",
        memory,
        10 * MINUTE,
        "A process nears its memory limit",
        "{{ $labels.job }} {{ $labels.instance }} uses {{ $value | humanizePercentage }} of it.",
        "a process holds 90 % of its memory limit",
    ),
    Alert(
        "EventrelayLoopLag",
        "ticket",
        simple("max by (namespace, job, instance) (eventrelay_event_loop_lag_seconds) > 0.25"),
        10 * MINUTE,
        "A shard's loop runs late",
        "A loop of {{ $labels.job }} {{ $labels.instance }} runs {{ $value | humanizeDuration }}"
        " late: too little CPU, or something blocks it.",
        "a shard's loop is 250 ms late for 10 minutes",
    ),
    Alert(
        "EventrelayBug",
        "ticket",
        lambda c: "sum by (namespace, job, instance) (increase("
        f"eventrelay_event_loop_exceptions_total[{c(HOUR)}])) > 0",
        0,
        "A fault in eventrelay itself",
        "A loop of {{ $labels.job }} {{ $labels.instance }} caught an exception it should not see.",
        "a loop caught an exception",
    ),
)
ALERTS = (*burn_alerts(), *CAUSES)


def recording(c: Clock) -> list[dict[str, Any]]:
    rules = []
    windows = sorted({w for _, pairs in BURNS for _, long, short in pairs for w in (long, short)})
    for objective in OBJECTIVES:
        for window in windows:
            bad = objective.bad.format(w=c(window))
            total = objective.total.format(w=c(window))
            rules.append(
                {
                    "record": burn_record(objective, window),
                    "expr": f"({bad}) / ({total} > 0)",
                }
            )
    rules.append(
        {
            "record": "eventrelay:relay_assigned_partitions:sum",
            "expr": "sum by (namespace) (eventrelay_relay_assigned_partitions)",
        }
    )
    return rules


def build(scale: int = 1, runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """The file of groups that Prometheus reads."""
    clock = Clock(scale)
    alerts = []
    for alert in ALERTS:
        rule: dict[str, Any] = {"alert": alert.name, "expr": alert.expr(clock)}
        if alert.lasts:
            rule["for"] = clock(alert.lasts)
        rule["labels"] = {"severity": alert.severity}
        rule["annotations"] = {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{runbooks}#{alert.name.lower()}",
        }
        alerts.append(rule)
    groups = [
        {"name": "eventrelay-objectives", "rules": recording(clock)},
        {"name": "eventrelay-alerts", "rules": alerts},
    ]
    if scale != 1:
        for group in groups:
            group["interval"] = "1s"
    return {"groups": groups}


def text(scale: int = 1, runbooks: str = RUNBOOKS) -> str:
    return yaml.safe_dump(build(scale, runbooks), sort_keys=False, width=100)


def table() -> str:
    """The table of alerts for docs/runbooks.md."""
    rows = ["| alert | severity | fires when | may come with |", "|---|---|---|---|"]
    severities = [alert.name for alert in ALERTS]
    for alert in ALERTS:
        # An alert names itself only where it has another severity.
        others = ", ".join(
            "any" if name == "*" else f"[{name}](#{name.lower()})"
            for name in alert.comes_with
            if name != alert.name or severities.count(name) > 1
        )
        rows.append(
            f"| [{alert.name}](#{alert.name.lower()}) | {alert.severity} | {alert.when} | {others} |"
        )
    return "\n".join(rows) + "\n"
