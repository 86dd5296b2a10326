"""Quiet while all is well; then five outages, each told by its own alert, each over by itself."""

from __future__ import annotations

from typing import Callable

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource

import dashboards
import rules
from conftest import Scene, hold, until
from support.receiver import Rule

BURNS = {objective.alert for objective in rules.OBJECTIVES}
MAY_COME = {
    name: set().union(*(a.comes_with for a in rules.ALERTS if a.name == name)) - {"*"}
    for name in {a.name for a in rules.ALERTS}
}


def outage(
    scene: Scene, alert: str, begin: Callable[[], None], end: Callable[[], None], over: float = 90
) -> None:
    """The alert fires, reaches Alertmanager, comes with nothing it may not, and ends by itself."""
    watch = scene.watch
    watch.seen.clear()
    begin()
    until(lambda: alert in watch.firing(), 90, f"{alert} fires; firing: {watch.firing()}")
    until(lambda: alert in watch.told(), 20, f"{alert} reaches Alertmanager")
    told = watch.told()[alert]
    assert told["annotations"]["runbook_url"].endswith(f"#{alert.lower()}")
    assert told["labels"]["severity"] in ("page", "ticket")
    hold(3)
    end()
    # A budget that has burnt stays burnt for as long as its window is.
    until(lambda: not watch.firing() - BURNS, over, "all is quiet again", pause=0.5)
    strange = watch.seen - {alert} - MAY_COME[alert] - BURNS
    print(f"{alert}: came with {sorted(watch.seen - {alert})}")
    assert not strange, f"{alert} came with {sorted(strange)}"


def test_is_quiet_for_a_minute(scene: Scene) -> None:
    hold(60)
    assert not scene.watch.seen, scene.watch.seen
    assert scene.receiver.count("/good") > 300


QUERIES = [
    (name, panel["title"], target["expr"])
    for name in dashboards.DASHBOARDS
    for panel in dashboards.dashboard(name)["panels"]
    for target in panel.get("targets", [])
]


@pytest.mark.parametrize(
    ("name", "title", "query"), QUERIES, ids=[f"{n}: {t}" for n, t, _ in QUERIES]
)
def test_no_panel_is_empty(scene: Scene, name: str, title: str, query: str) -> None:
    text = query.replace("$__rate_interval", "10s").replace("$job", "eventrelay-.*")
    text = text.replace("$instance", ".+")
    assert scene.watch.query(text), text


def test_endpoint_failing(scene: Scene) -> None:
    outage(
        scene,
        "EventrelayEndpointsFailing",
        lambda: scene.receiver.answer("/bad", Rule(status=500)),
        lambda: scene.receiver.answer("/bad", None),
    )


def test_broker_killed(scene: Scene) -> None:
    def end() -> None:
        for node in scene.broker.nodes:
            node.launch()
        scene.broker.wait_ready()

    outage(scene, "EventrelayKafkaUnavailable", scene.broker.kill, end)


def test_reload_failing(scene: Scene) -> None:
    def begin() -> None:
        path = scene.stack.write()
        path.write_text(path.read_text().replace('"inflight_max"', '"inflght_max"') + "\n: broken")
        scene.relay.reload()

    def end() -> None:
        scene.stack.write()
        scene.relay.reload()

    outage(scene, "EventrelayConfigReloadFailed", begin, end)


def test_dead_letter_topic_unwritable(scene: Scene) -> None:
    def configure(**properties: str) -> None:
        admin = AdminClient({"bootstrap.servers": scene.broker.bootstrap, "log_level": 0})
        topic = ConfigResource("topic", scene.stack.prefix + "dead", set_config=properties)
        for done in admin.alter_configs([topic]).values():
            done.result(10)

    def begin() -> None:
        # The broker takes no record that is older than nothing.
        configure(**{"message.timestamp.before.max.ms": "0"})
        scene.receiver.answer("/dead", Rule(status=422, times=1))
        scene.send_one(scene.instances[2], 900_001)

    # The dead letter that is written at last is told for an hour, divided by the scale.
    outage(scene, "EventrelayPartitionBlocked", begin, configure, over=200)


def test_relay_killed(scene: Scene) -> None:
    def end() -> None:
        scene.relay = scene.start_relay()

    outage(scene, "EventrelayTargetDown", scene.relay.kill, end)
