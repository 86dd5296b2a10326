"""Rules, alerts and dashboards: well formed, of metrics that exist, firing when they must."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

import dashboards
import rules
from cases import CASES, UP, Case
from conftest import ROOT, promtool

SHIPPED = ROOT / "helm/files/rules/eventrelay.yaml"


def existing() -> set[str]:
    """Names of docs/metrics.md, which a test of the program keeps equal to its own list."""
    page = (ROOT / "docs/metrics.md").read_text("utf-8")
    return set(re.findall(r"^\| `((?:eventrelay|process)_\w+)` \|", page, re.M))


def queries() -> list[str]:
    found = [
        e
        for _, _, parts in dashboards.DASHBOARDS.values()
        for row in parts
        for panel in row.panels
        for e in panel.expressions()
    ]
    found += [r["expr"] for g in rules.build()["groups"] for r in g["rules"]]
    return found


def asked() -> set[str]:
    names = set()
    for query in queries():
        bare = re.sub(r'"[^"]*"', '""', query)
        for name in re.findall(r"(?<![\w:])((?:eventrelay|process)_\w+)(?![\w:])", bare):
            names.add(re.sub(r"_(seconds|bytes)_(?:bucket|count|sum)$", r"_\1", name))
    return names


def test_every_metric_asked_for_exists() -> None:
    assert len(existing()) > 50
    unknown = asked() - existing()
    assert not unknown, f"not in docs/metrics.md: {sorted(unknown)}"


# Given by whoever scrapes, or by what a histogram is.
GIVEN = {"namespace", "job", "instance", "le"}


def labels() -> dict[str, set[str]]:
    page = (ROOT / "docs/metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| ([^|]*)\|", page, re.M)
    return {metric: set(re.findall(r"`(\w+)`", column)) for metric, column in rows}


def asked_labels() -> set[tuple[str, str]]:
    """Labels of the queries that ask for one metric alone, and of every matcher."""
    found = set()
    for query in queries():
        for metric, matchers in re.findall(r"(eventrelay_\w+)\{([^}]*)\}", query):
            metric = re.sub(r"_(seconds|bytes)_(?:bucket|count|sum)$", r"_\1", metric)
            found |= {(metric, label) for label in re.findall(r"(\w+)[=!]", matchers)}
        metrics = set(re.findall(r"(?<![\w:])(eventrelay_\w+)", re.sub(r'"[^"]*"', "", query)))
        if len(metrics) == 1:
            for names in re.findall(r"\bby \(([^)]*)\)", query):
                found |= {(*metrics, label.strip()) for label in names.split(",")}
    return {(re.sub(r"_bucket$", "", m), label) for m, label in found if label not in GIVEN}


def test_every_label_asked_for_exists() -> None:
    there = labels()
    pairs = asked_labels()
    assert len(pairs) > 10
    wrong = {(m, label) for m, label in pairs if label not in there.get(m, set())}
    assert not wrong, f"labels that docs/metrics.md does not have: {sorted(wrong)}"


def test_shipped_rules_pass_promtool() -> None:
    answer = promtool("check", "rules", "--lint=all", "--lint-fatal", SHIPPED)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_promtool_finds_a_planted_fault(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(SHIPPED.read_text("utf-8").replace("sum by (namespace)", "summ by (namespace)"))
    assert promtool("check", "rules", "--lint=all", "--lint-fatal", bad).returncode != 0


@pytest.mark.parametrize("scale", [1, 30])
def test_scaled_rules_are_rules(scale: int, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(rules.text(scale))
    answer = promtool("check", "rules", path)
    assert answer.returncode == 0, answer.stdout + answer.stderr


ALERTS = {(a.name, a.severity): a for a in rules.ALERTS}
FIXED = """EventrelayIngestErrorBudgetBurn page ticket
EventrelayIngestSlowBudgetBurn page ticket
EventrelayDeliveryLateBudgetBurn page ticket
EventrelayTargetDown page
EventrelayKafkaUnavailable page
EventrelayRelayStalled page
EventrelayPartitionsUnassigned page
EventrelayNotReady page
EventrelayPartitionBlocked page
EventrelayRetentionNear page
EventrelayEventsExpired page
EventrelayEndpointsFailing ticket
EventrelayDeadLetters ticket
EventrelaySubscriptionAway ticket
EventrelaySignatureFailures ticket
EventrelaySourceSilent ticket
EventrelayConfigReloadFailed ticket
EventrelayConfigSkew ticket
EventrelayCertificateExpires page ticket
EventrelayRebalanceStorm ticket
EventrelayMemoryNear ticket
EventrelayLoopLag ticket
EventrelayBug ticket"""


def test_the_alerts_are_the_agreed_ones() -> None:
    agreed = {
        (name, severity)
        for name, *all_of in (line.split() for line in FIXED.splitlines())
        for severity in all_of
    }
    assert set(ALERTS) == agreed


@pytest.mark.parametrize("key", ALERTS, ids="/".join)
def test_an_alert_says_what_why_and_where_to_look(key: tuple[str, str]) -> None:
    groups = yaml.safe_load(SHIPPED.read_text("utf-8"))["groups"]
    (rule,) = (
        r
        for g in groups
        for r in g["rules"]
        if r.get("alert") == key[0] and r["labels"]["severity"] == key[1]
    )
    notes = rule["annotations"]
    assert notes["summary"] and notes["description"].endswith(".")
    assert notes["runbook_url"].endswith(f"/runbooks.md#{key[0].lower()}")
    runbooks = (ROOT / "docs/runbooks.md").read_text("utf-8")
    section = re.search(rf"^## {key[0]}\n(.*?)(?=^## |\Z)", runbooks, re.M | re.S)
    assert section, f"docs/runbooks.md has no section {key[0]}"
    for part in ("What it means", "Look at", "Do"):
        assert f"**{part}**" in section.group(1), f"{key[0]}: no {part}"
    assert section.group(1).count("```") >= 2, f"{key[0]}: no command"


def test_every_alert_has_a_case_where_it_fires_and_one_where_it_does_not() -> None:
    for name, severity in ALERTS:
        mark = f"{name}/{severity}"
        mine = [c for c in CASES if (c.alert, c.severity) == (name, severity)]
        assert any(mark in c.fires for c in mine), f"{mark} never fires"
        assert any(mark not in c.fires for c in mine), f"{mark} always fires"


FIRING = 'count by (alertname, severity) (ALERTS{alertstate="firing"}) > bool 0'


def played(case: Case, path: Path) -> Path:
    """A promtool test that looks at the whole set of what fires."""
    expected = [
        {"labels": '{alertname="%s", severity="%s"}' % tuple(mark.split("/")), "value": 1}
        for mark in case.fires
    ]
    test = {
        "rule_files": [str(SHIPPED)],
        "evaluation_interval": f"{case.step}m",
        # Else by chance; what is recorded at a step must be there for the alerts of that step.
        "group_eval_order": ["eventrelay-objectives", "eventrelay-alerts"],
        "tests": [
            {
                "interval": f"{case.step}m",
                "input_series": [{"series": s, "values": v} for s, v in (UP | case.series).items()],
                "promql_expr_test": [
                    {
                        "expr": FIRING,
                        "eval_time": f"{case.minute}m",
                        "exp_samples": expected,
                    }
                ],
            }
        ],
    }
    path.write_text(yaml.safe_dump(test))
    return path


@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c.alert}/{c.severity}: {c.plays}".replace(" ", "_")
)
def test_fires(case: Case, tmp_path: Path) -> None:
    answer = promtool("test", "rules", played(case, tmp_path / "case.yaml"))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_what_may_come_with_an_alert_exists() -> None:
    names = {a.name for a in rules.ALERTS} | {"*"}
    for alert in rules.ALERTS:
        assert set(alert.comes_with) <= names, alert.name


PANELS = [
    (name, panel)
    for name in dashboards.DASHBOARDS
    for panel in dashboards.dashboard(name)["panels"]
    if panel["type"] != "row"
]


@pytest.mark.parametrize(
    ("name", "panel"), PANELS, ids=lambda x: x if isinstance(x, str) else x["title"]
)
def test_a_panel_keeps_the_rules_of_dashboards(name: str, panel: dict, tmp_path: Path) -> None:
    assert panel["title"] and panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    for target in panel["targets"]:
        query = target["expr"]
        for selector in re.findall(r"(?:eventrelay|process)_\w+\{([^}]*)\}", query):
            assert 'job=~"$job"' in selector and 'instance=~"$instance"' in selector, query
        bare = re.findall(
            r"(?:eventrelay|process)_\w+(?!\w)(?!\{)", re.sub(r'"[^"]*"', '""', query)
        )
        assert not bare, f"no matchers: {query}"
        counters = r"(\w+\()?((?:eventrelay|process)_\w+(?:_total|_bucket))\{"
        for counter in re.findall(counters, query):
            assert counter[0] in ("rate(", "increase("), f"counter outside of rate: {query}"
        assert "[5m]" not in query, "use $__rate_interval"
        path = tmp_path / "query.yaml"
        path.write_text(
            yaml.safe_dump(
                {
                    "groups": [
                        {
                            "name": "q",
                            "rules": [
                                {"record": "q", "expr": query.replace("$__rate_interval", "1m")}
                            ],
                        }
                    ]
                }
            )
        )
        answer = promtool("check", "rules", path)
        assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("name", dashboards.DASHBOARDS)
def test_a_dashboard_is_whole(name: str) -> None:
    shipped = json.loads((ROOT / f"helm/files/dashboards/{name}.json").read_text("utf-8"))
    assert shipped == dashboards.dashboard(name)
    assert shipped["editable"] is False and shipped["uid"] == f"eventrelay-{name}"
    variables = [v["name"] for v in shipped["templating"]["list"]]
    assert variables == ["datasource", "job", "instance"]
    ids = [p["id"] for p in shipped["panels"]]
    assert len(ids) == len(set(ids))
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in shipped["panels"]]
    assert len(places) == len(set(places))
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in shipped["panels"])
