"""Two Grafana dashboards, service and subscriptions, from the tables of this file.

A query has MATCH for the matchers of job and instance, and INTERVAL for that of a rate. A query
whose metric may be absent says what it shows then, so that no panel is empty for a good reason.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

MATCHERS = 'job=~"$job",instance=~"$instance"'
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT, COLUMNS = 8, 8, 3


@dataclass(frozen=True)
class Panel:
    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]  # PromQL and legend
    kind: str = "timeseries"

    def expressions(self) -> list[str]:
        return [
            query.replace("MATCH", MATCHERS).replace("INTERVAL", "$__rate_interval")
            for query, _ in self.queries
        ]


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, by: str = "", more: str = "") -> str:
    labels = f" by ({by})" if by else ""
    return f"sum{labels} (rate(eventrelay_{metric}{{MATCH{more}}}[INTERVAL]))"


def total(metric: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (eventrelay_{metric}{{MATCH}})"


def worst(metric: str, by: str = "") -> str:
    return f"max{f' by ({by})' if by else ''} (eventrelay_{metric}{{MATCH}})"


def age(metric: str) -> str:
    """Seconds since a timestamp; 0 where there is none."""
    return f"max (time() - (eventrelay_{metric}{{MATCH}} > 0)) or on () vector(0)"


def quantile(share: float, metric: str) -> str:
    buckets = f"rate(eventrelay_{metric}_bucket{{MATCH}}[INTERVAL])"
    return f"histogram_quantile({share}, sum by (le) ({buckets}))"


def quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    return ((quantile(0.5, metric), "half"), (quantile(0.99, metric), "99 of 100"))


OBJECTIVE_ROW = Row(
    "Objectives",
    (
        Panel(
            "Ready",
            "Processes that say they are ready, and those that do not.",
            "short",
            ((total("ready", "job"), "{{job}}"),),
        ),
        Panel(
            "Ingest: share of 5xx",
            "The promise is at most 0.1 %.",
            "percentunit",
            (
                (
                    'sum (rate(eventrelay_ingest_requests_total{MATCH,code=~"5.."}[INTERVAL]))'
                    " / sum (rate(eventrelay_ingest_requests_total{MATCH}[INTERVAL]))",
                    "5xx",
                ),
            ),
        ),
        Panel(
            "First attempt after",
            "From accepted to the first attempt; the promise is 30 s.",
            "s",
            quantiles("relay_first_attempt_age_seconds"),
        ),
    ),
)
INGEST_ROW = Row(
    "Ingest",
    (
        Panel(
            "Requests",
            "Answers by HTTP status.",
            "reqps",
            ((rate("ingest_requests_total", "code"), "{{code}}"),),
        ),
        Panel(
            "Answered after",
            "From the head read to the answer; the promise is 1 s.",
            "s",
            quantiles("ingest_request_duration_seconds"),
        ),
        Panel(
            "Refused",
            "Requests that were refused, by reason.",
            "reqps",
            ((rate("ingest_rejected_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            "Events",
            "Events that Kafka acknowledged.",
            "ops",
            ((rate("ingest_events_total"), "acknowledged"),),
        ),
        Panel(
            "Waiting for Kafka",
            "Bytes handed to the producer and not acknowledged.",
            "bytes",
            ((total("ingest_produce_queue_bytes", "instance"), "{{instance}}"),),
        ),
        Panel(
            "Records Kafka did not take",
            "By reason.",
            "ops",
            ((rate("ingest_produce_errors_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            "Connections",
            "Open client connections and requests in progress.",
            "short",
            (
                (total("ingest_connections"), "connections"),
                (total("ingest_inflight_requests"), "in progress"),
            ),
        ),
        Panel(
            "Body size", "Size of request bodies.", "bytes", quantiles("ingest_request_body_bytes")
        ),
        Panel(
            "Signature keys used",
            "Which slot's key verified, by source: a rotation is done when "
            "the old slot is no longer used.",
            "reqps",
            ((rate("ingest_signature_key_uses_total", "source, slot"), "{{source}} {{slot}}"),),
        ),
    ),
)
RELAY_ROW = Row(
    "Relay",
    (
        Panel(
            "Deliveries",
            "Attempts by outcome.",
            "ops",
            ((rate("relay_deliveries_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Attempt takes",
            "From dial to the last byte.",
            "s",
            quantiles("relay_delivery_duration_seconds"),
        ),
        Panel(
            "Delivered after",
            "From accepted to delivered, retries included.",
            "s",
            quantiles("relay_event_age_seconds"),
        ),
        Panel(
            "Oldest unread",
            "How long the oldest event that no relay has read waits.",
            "s",
            ((age("relay_oldest_unread_timestamp_seconds"), "oldest"),),
        ),
        Panel(
            "Behind",
            "Messages behind the end of the log, by topic.",
            "short",
            ((total("kafka_consumer_lag_messages", "topic"), "{{topic}}"),),
        ),
        Panel(
            "Partitions owned",
            "By process: a fair share each.",
            "short",
            ((total("relay_assigned_partitions", "instance"), "{{instance}}"),),
        ),
        Panel(
            "Partitions held",
            "Blocked: a record can not be written. Paused: the window is full.",
            "short",
            (
                (total("relay_blocked_partitions"), "blocked"),
                (total("relay_paused_partitions"), "paused"),
            ),
        ),
        Panel(
            "In flight",
            "Attempts in progress, and bytes read and not finished.",
            "short",
            ((total("relay_inflight_deliveries"), "attempts"),),
        ),
        Panel(
            "Bytes held",
            "Bytes of events read and not finished.",
            "bytes",
            ((total("relay_queued_bytes", "instance"), "{{instance}}"),),
        ),
    ),
)
KAFKA_ROW = Row(
    "Kafka",
    (
        Panel(
            "Round trip",
            "To the slowest broker, p95.",
            "s",
            ((worst("kafka_broker_rtt_seconds", "job"), "{{job}}"),),
        ),
        Panel(
            "Assignments",
            "Taken or given up.",
            "ops",
            ((rate("kafka_rebalances_total", "instance"), "{{instance}}"),),
        ),
        Panel(
            "Trouble",
            "Requests sent again or timed out, errors while reading, new producers.",
            "ops",
            (
                (rate("kafka_tx_retries_total"), "sent again"),
                (rate("kafka_request_timeouts_total"), "timed out"),
                (rate("kafka_consumer_errors_total"), "read errors"),
                (rate("kafka_producer_rebuilds_total"), "producers rebuilt"),
            ),
        ),
    ),
)
PROCESS_ROW = Row(
    "Processes",
    (
        Panel(
            "CPU",
            "Cores used.",
            "short",
            (
                (
                    "sum by (instance) (rate(process_cpu_seconds_total{MATCH}[INTERVAL]))",
                    "{{instance}}",
                ),
            ),
        ),
        Panel(
            "Memory",
            "Resident, beside the limits.",
            "bytes",
            (
                ("sum by (instance) (process_resident_memory_bytes{MATCH})", "{{instance}}"),
                ("min by (what) (eventrelay_memory_limit_bytes{MATCH})", "limit: {{what}}"),
            ),
        ),
        Panel(
            "Loop lag",
            "How late the worst shard's loop runs.",
            "s",
            ((worst("event_loop_lag_seconds", "instance"), "{{instance}}"),),
        ),
        Panel(
            "Log lines", "By level.", "ops", ((rate("log_messages_total", "level"), "{{level}}"),)
        ),
        Panel(
            "Configurations",
            "Different ones per service; more than one for long is a skew.",
            "short",
            (
                (
                    "count by (job) (count by (job, hash) (eventrelay_config_hash_info{MATCH}))",
                    "{{job}}",
                ),
            ),
        ),
        Panel(
            "Last reload",
            "1: the last reload took effect.",
            "short",
            (("min by (job) (eventrelay_config_last_reload_successful{MATCH})", "{{job}}"),),
        ),
    ),
)
WAITING_ROW = Row(
    "Who waits",
    (
        Panel(
            "Longest waiting",
            "The twenty whose oldest event waits longest.",
            "s",
            (
                (
                    "topk(20, max by (subscription) "
                    "(eventrelay_relay_subscription_oldest_pending_seconds{MATCH}))"
                    " or on () vector(0)",
                    "{{subscription}}",
                ),
            ),
        ),
        Panel(
            "Longest waiting, of all",
            "The oldest event of any subscription.",
            "s",
            (
                (
                    worst("relay_subscription_oldest_pending_seconds_max") + " or on () vector(0)",
                    "oldest",
                ),
            ),
        ),
        Panel(
            "Largest backlogs",
            "The twenty with most events waiting.",
            "short",
            (
                (
                    "topk(20, sum by (subscription) "
                    "(eventrelay_relay_subscription_backlog_events{MATCH})) or on () vector(0)",
                    "{{subscription}}",
                ),
            ),
        ),
        Panel(
            "Backlog of all",
            "Events that wait for any subscription.",
            "short",
            ((total("relay_backlog_events"), "events"),),
        ),
        Panel(
            "Oldest of the backlog",
            "How long the oldest of them waits.",
            "s",
            ((age("relay_backlog_oldest_timestamp_seconds"), "oldest"),),
        ),
        Panel(
            "Detached and paused",
            "Detached: the log is their queue. Paused: they wait to be resumed.",
            "short",
            (
                (total("relay_detached_subscriptions"), "detached"),
                (total("relay_switched_off_subscriptions"), "paused"),
                (total("relay_blocked_objects"), "blocked objects"),
            ),
        ),
        Panel(
            "Longest detached",
            "Since when the longest detached subscription is detached.",
            "s",
            ((age("relay_oldest_detached_timestamp_seconds"), "oldest"),),
        ),
        Panel(
            "Retention",
            "Partitions where retention comes near, events moved to the dead letters, and lost.",
            "short",
            (
                (total("relay_log_start_alerts"), "partitions near"),
                ("sum (increase(eventrelay_relay_rescued_total{MATCH}[1h]))", "moved in an hour"),
                (
                    "sum (increase(eventrelay_relay_expired_offsets_total{MATCH}[1h]))",
                    "lost in an hour",
                ),
            ),
        ),
        Panel(
            "Catch-up reads",
            "Records read a second time for backlogs.",
            "ops",
            ((rate("relay_swept_records_total"), "records"),),
        ),
    ),
)
FAILING_ROW = Row(
    "Who fails",
    (
        Panel(
            "Attempts by outcome",
            "All but those that went well.",
            "ops",
            ((rate("relay_deliveries_total", "outcome", ',outcome!="ok"'), "{{outcome}}"),),
        ),
        Panel(
            "Share that went well",
            "Attempts with a 2xx.",
            "percentunit",
            (
                (
                    'sum (rate(eventrelay_relay_deliveries_total{MATCH,outcome="ok"}[INTERVAL])) / '
                    "sum (rate(eventrelay_relay_deliveries_total{MATCH}[INTERVAL]))",
                    "ok",
                ),
            ),
        ),
        Panel(
            "Breakers open",
            "Subscriptions whose circuit breaker is open.",
            "short",
            ((total("relay_circuits_open"), "endpoints"),),
        ),
        Panel(
            "Retries",
            "Attempts after the first, by stage.",
            "ops",
            ((rate("relay_retries_total", "stage"), "{{stage}}"),),
        ),
        Panel(
            "Given up",
            "Events written to the dead letters, by last reason.",
            "ops",
            ((rate("relay_dead_letters_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            "Parked",
            "Events written to a delay topic.",
            "ops",
            ((rate("relay_parked_total"), "events"),),
        ),
        Panel(
            "Wanted by nobody",
            "Events that no subscription takes, by reason.",
            "ops",
            ((rate("relay_unmatched_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            "Writes tried again",
            "Parked, dead or state records that Kafka did not take.",
            "ops",
            ((rate("relay_write_failures_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            "Folded",
            "Events left out: their provider had sent them before.",
            "ops",
            ((rate("relay_folded_total"), "events"),),
        ),
    ),
)
SOURCE_ROW = Row(
    "Sources",
    (
        Panel(
            "Silent for",
            "Since a source's last event.",
            "s",
            (
                (
                    "max by (source) (time() - "
                    "(eventrelay_ingest_source_last_event_timestamp_seconds{MATCH} > 0))"
                    " or on () vector(0)",
                    "{{source}}",
                ),
            ),
        ),
        Panel(
            "Not genuine",
            "Webhooks whose signature is wrong, missing or too old.",
            "reqps",
            ((rate("ingest_rejected_total", "reason", ',reason=~"auth|signature"'), "{{reason}}"),),
        ),
        Panel(
            "Handshakes",
            "Questions of providers that were answered.",
            "reqps",
            ((rate("ingest_handshakes_total", "kind"), "{{kind}}"),),
        ),
    ),
)
DASHBOARDS = {
    "service": (
        "eventrelay: service",
        "Is the service well, and what holds it up.",
        (OBJECTIVE_ROW, INGEST_ROW, RELAY_ROW, KAFKA_ROW, PROCESS_ROW),
    ),
    "subscriptions": (
        "eventrelay: subscriptions",
        "Who waits, who fails, and who is silent.",
        (WAITING_ROW, FAILING_ROW, SOURCE_ROW),
    ),
}


def variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def panel_json(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": x, "y": y},
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "custom": {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"},
            },
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": expr,
                "legendFormat": legend,
                "range": True,
            }
            for index, (expr, (_, legend)) in enumerate(zip(panel.expressions(), panel.queries))
        ],
    }


def dashboard(name: str) -> dict[str, Any]:
    title, description, rows = DASHBOARDS[name]
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"h": 1, "w": WIDTH * COLUMNS, "x": 0, "y": y},
                "panels": [],
            }
        )
        y += 1
        for index, panel in enumerate(row.panels):
            x = WIDTH * (index % COLUMNS)
            panels.append(panel_json(panel, len(panels) + 1, x, y))
            if x == WIDTH * (COLUMNS - 1) or index == len(row.panels) - 1:
                y += HEIGHT
    return {
        "uid": f"eventrelay-{name}",
        "title": title,
        "description": description,
        "tags": ["eventrelay"],
        "timezone": "browser",
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                    "current": {},
                    "refresh": 1,
                },
                variable("job", 'label_values(up{job=~"eventrelay-.*"}, job)'),
                variable("instance", 'label_values(up{job=~"$job"}, instance)'),
            ]
        },
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }


def text(name: str) -> str:
    return json.dumps(dashboard(name), indent=2) + "\n"


def table() -> str:
    """The table of panels for docs/operations.md."""
    rows = ["| dashboard | panel | shows |", "|---|---|---|"]
    for name, (_, _, parts) in DASHBOARDS.items():
        for part in parts:
            for panel in part.panels:
                rows.append(f"| {name} | {panel.title} | {panel.description} |")
    return "\n".join(rows) + "\n"
