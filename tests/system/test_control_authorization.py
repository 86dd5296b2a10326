"""Every path of the control API by every kind of authorization, and what it is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from support import box
from support.box_provider import (
    ORGANIZATION,
    OTHER,
    OTHER_ORGANIZATION,
    USER,
    VIEWER,
    Api,
    api_of,
    connected,
)
from support.programs import run
from support.stack import KEY, Stack

# What an instance of another account, or none, is answered in the place of its number.
GONE = 404
ACCOUNT = 10
UNAUTHORIZED = 401
FORBIDDEN = 403


@dataclass
class Scene:
    """One instance with all that a path may name."""

    instance: int
    token: str
    hook: str = "1"
    event: str = "1"
    replay: str = "1"


@dataclass(frozen=True)
class Row:
    method: str
    path: str  # as in the document
    kind: str  # P, E, PE, or PA: P, and the role admin also to read
    body: object = None
    status: int = 200  # where the call is allowed
    fresh: bool = False  # the call uses up its instance or webhook

    def target(self, scene: Scene) -> str:
        path = self.path.replace("/accounts/{id}", f"/accounts/{ACCOUNT}")
        path = path.replace("{keyOrId}", "box").replace("{hub}", "anything")
        path = path.replace("{idOrKey}", "events.list.ids").replace("{id}", str(scene.instance))
        path = path.replace("{webhookId}", scene.hook).replace("{eventId}", scene.event)
        path = path.replace("{replayId}", scene.replay).replace("{name}", "callback")
        if path.endswith("/oauth/url"):
            path += "?apiKey=k&callbackUrl=https://mycoolapp.com/auth"
        return path


ITEM = {"propertyValue": "x"}
NEW = {"name": "g", "element": {"key": "github"}}
REPLAY = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "source": "dead"}
TRASHED = {"triggers": ["FILE.TRASHED"]}
FOLDER = {"target": {"id": "1001", "type": "folder"}, "triggers": ["FILE.UPLOADED"]}

ROWS = [
    Row("GET", "/elements", "P"),
    Row("GET", "/elements/{keyOrId}", "P"),
    Row("GET", "/elements/{keyOrId}/metadata", "P"),
    Row("GET", "/elements/{keyOrId}/oauth/url", "P"),
    Row("POST", "/elements/{keyOrId}/instances", "P", {"name": "n"}, 400),  # no grant code
    Row("POST", "/instances", "P", NEW),
    Row("GET", "/instances", "P"),
    Row("PUT", "/instances", "E", {"tags": ["a"]}),
    Row("PATCH", "/instances", "E", {}),
    Row("DELETE", "/instances", "E", fresh=True),
    Row("PUT", "/instances/enabled", "E"),
    Row("DELETE", "/instances/enabled", "E", fresh=True),
    Row("GET", "/instances/configuration", "E"),
    Row("GET", "/instances/configuration/{idOrKey}", "E"),
    Row("PATCH", "/instances/configuration/{idOrKey}", "E", ITEM),
    Row("GET", "/instances/{id}", "PE"),
    Row("PUT", "/instances/{id}", "PE", {"tags": ["a"]}),
    Row("PATCH", "/instances/{id}", "PE", {}),
    Row("DELETE", "/instances/{id}", "PE", fresh=True),
    Row("PUT", "/instances/{id}/enabled", "PE"),
    Row("DELETE", "/instances/{id}/enabled", "PE", fresh=True),
    Row("GET", "/instances/{id}/configuration", "PE"),
    Row("GET", "/instances/{id}/configuration/{idOrKey}", "PE"),
    Row("PATCH", "/instances/{id}/configuration/{idOrKey}", "PE", ITEM),
    Row("POST", "/instances/{id}/token", "PA", fresh=True),
    Row("GET", "/instances/{id}/setup", "PA"),
    Row("GET", "/instances/events", "PE"),
    Row("GET", "/instances/{id}/events", "PE"),
    Row("GET", "/instances/{id}/events/{eventId}", "PE"),
    Row("GET", "/instances/events/dispositions", "P"),
    Row("GET", "/instances/events/analytics", "P"),
    Row("GET", "/instances/events/analytics/instances", "P"),
    Row("GET", "/instances/events/analytics/accounts", "P"),
    Row("POST", "/instances/{id}/events/replay", "P", REPLAY),
    Row("GET", "/instances/{id}/events/replay/{replayId}", "P"),
    Row("DELETE", "/instances/{id}/events/replay/{replayId}", "P"),
    Row("POST", "/instances/{id}/events/backfill", "P", {}, 400),
    Row("GET", "/instances/event-poller-records", "PE"),
    Row("GET", "/instances/{id}/event-poller-records", "PE"),
    Row("GET", "/accounts/settings", "P"),
    Row("PATCH", "/accounts/settings", "P", {"notification.webhook.failure.policy": "retry"}),
    Row("GET", "/accounts/{id}/settings", "P"),
    Row("POST", "/accounts/{id}/settings", "P", {"notification.webhook.failure.policy": "retry"}),
    Row("PATCH", "/accounts/{id}/settings", "P", {"notification.webhook.failure.policy": "retry"}),
    Row("GET", "/notifications/subscriptions/deliveries", "P", None, 400),  # no `where`
    Row("PUT", "/notifications/subscriptions/deliveries", "P", None, 400),
    Row("PUT", "/instances/{id}/subscriptions/{name}/enabled", "P"),
    Row("DELETE", "/instances/{id}/subscriptions/{name}/enabled", "P", fresh=True),
    *(
        Row(method, base + path, "E", body, fresh=method in ("POST", "DELETE"))
        for base in ("/webhooks", "/hubs/{hub}/webhooks")
        for method, path, body in (
            ("POST", "", FOLDER),
            ("GET", "", None),
            ("GET", "/{webhookId}", None),
            ("PUT", "/{webhookId}", TRASHED),
            ("DELETE", "/{webhookId}", None),
        )
    ),
]

# Each kind of header, and what it is: platform, element, or why it is none.
Header = Callable[[Scene], str | None]
HEADERS: dict[str, tuple[str, Header]] = {
    "platform": ("P", lambda _: f"User {USER}, Organization {ORGANIZATION}"),
    "any order and case": ("P", lambda _: f"organization {ORGANIZATION},USER {USER}"),
    "element": ("E", lambda s: f"User {USER}, Element {s.token}"),
    "element and organization": (
        "E",
        lambda s: f"Element {s.token}, User {USER}, Organization {ORGANIZATION}",
    ),
    "viewer": ("VP", lambda _: f"User {VIEWER}, Organization {ORGANIZATION}"),
    "viewer by element": ("VE", lambda s: f"User {VIEWER}, Element {s.token}"),
    "other account": ("O", lambda _: f"User {OTHER}, Organization {OTHER_ORGANIZATION}"),
    "other user's element": ("", lambda s: f"User {OTHER}, Element {s.token}"),
    "foreign organization": ("", lambda _: f"User {USER}, Organization {OTHER_ORGANIZATION}"),
    "element, foreign organization": (
        "",
        lambda s: f"User {USER}, Element {s.token}, Organization {OTHER_ORGANIZATION}",
    ),
    "unknown user": ("", lambda _: f"User x, Organization {ORGANIZATION}"),
    "unknown organization": ("", lambda _: f"User {USER}, Organization x"),
    "unknown token": ("", lambda _: f"User {USER}, Element x"),
    "the token as user": ("", lambda s: f"User {s.token}, Element {s.token}"),
    "user alone": ("", lambda _: f"User {USER}"),
    "organization alone": ("", lambda _: f"Organization {ORGANIZATION}"),
    "element alone": ("", lambda s: f"Element {s.token}"),
    "user twice": ("", lambda _: f"User {USER}, User {USER}, Organization {ORGANIZATION}"),
    "no commas": ("", lambda _: f"User {USER} Organization {ORGANIZATION}"),
    "another word": ("", lambda _: f"User {USER}, Organisation {ORGANIZATION}"),
    "a secret left out": ("", lambda _: "User , Organization "),
    "bearer": ("", lambda _: f"Bearer {USER}"),
    "empty": ("", lambda _: ""),
    "none": ("", lambda _: None),
}


def expected(row: Row, kind: str) -> int:
    """By the table of answers: 401 before 403 before 404 before what the call itself says."""
    by = kind[-1:]  # P or E for a viewer too
    if kind == "O":
        by = "P"
    fits = by != "" and by in row.kind.replace("PA", "P")
    if not fits:
        return UNAUTHORIZED
    if kind.startswith("V") and (row.method != "GET" or row.kind == "PA"):
        return FORBIDDEN
    names_one = "/{id}" in row.path
    return GONE if kind == "O" and names_one else row.status


class Scenes:
    """Makes instances with a webhook, an event and a replay each."""

    def __init__(self, api: Api, provider, receiver):
        self.api, self.provider, self.receiver = api, provider, receiver
        self.kept = ""

    def make(self, target: dict) -> Scene:
        made = self.api.create(self.provider, self.receiver.url("/e"), KEY)
        assert made.status == 200, made
        scene = Scene(made.json["id"], made.json["token"])
        body = {"target": target, "triggers": ["FILE.UPLOADED"]}
        if target["type"] == "file":
            body["triggers"] = ["FILE.DOWNLOADED"]
        hook = self.api.call("POST", "/webhooks", body, scene.token)
        assert hook.status == 200, hook
        scene.hook = hook.json["id"]
        return scene

    def whole(self) -> Scene:
        scene = self.make({"id": "2000", "type": "file"})
        self.kept = scene.hook
        url = self.api.call("GET", f"/instances/{scene.instance}").json["webhookUrl"]
        sent = run("eventrelay", "send", "box-v2", "--url", url, "--key", box.PRIMARY)
        assert sent.returncode == 0, sent.stderr
        (event,) = self.api.call("GET", f"/instances/{scene.instance}/events").json
        scene.event = event["id"]
        replay = self.api.call("POST", f"/instances/{scene.instance}/events/replay", REPLAY)
        assert replay.status == 200, replay
        scene.replay = replay.json["id"]
        return scene

    def drop(self) -> None:
        """Away with the webhooks of used-up instances: one target takes one webhook."""
        for hook in self.provider.state()["webhooks"]:
            if hook["id"] != self.kept:
                self.provider.post("drop", webhook=hook["id"])


def test_every_path_by_every_kind_of_authorization(
    tour: Stack, provider, receiver, report
) -> None:
    ingest = tour.ingest()
    api = api_of(ingest)
    offered = {
        (method.upper(), path)
        for path, item in api.openapi.document["paths"].items()
        for method in item
        if method in ("get", "post", "put", "patch", "delete")
    }
    rows = [row for row in ROWS if (row.method, row.path) in offered]
    assert offered == {(row.method, row.path) for row in rows}, "no path without a row"
    scenes = Scenes(api, provider, receiver)
    whole = scenes.whole()
    before = api.call("GET", f"/instances/{whole.instance}").json
    wrong, asked = [], 0
    for row in rows:
        refused_first = sorted(HEADERS.items(), key=lambda each: expected(row, each[1][0]) < 400)
        for name, (kind, header) in refused_first:
            status = expected(row, kind)
            uses_up = row.fresh and status < 400
            scene = whole
            if uses_up:
                scene = scenes.make({"id": "1000", "type": "folder"})
            value = header(scene)
            answer = api.send(
                row.method,
                row.target(scene),
                row.body,
                {} if value is None else {"Authorization": value},
            )
            asked += 1
            if answer.status != status:
                wrong.append((row.method, row.path, name, status, answer))
            if answer.status >= 400:
                assert set(answer.json) <= {"message", "requestId", "providerMessage"}
                for secret in (USER, VIEWER, OTHER, ORGANIZATION, OTHER_ORGANIZATION, scene.token):
                    assert secret not in answer.raw.decode(), (row, name)
            if status == UNAUTHORIZED:
                assert answer.json["message"].startswith("Authorization: "), (row, name, answer)
            if kind == "E" and status < 400 and answer.status < 400:
                assert answer.headers["Elements-Element-Instance-Id"] == str(scene.instance)
            if uses_up:
                api.call("DELETE", f"/instances/{scene.instance}")
                scenes.drop()
    assert wrong == []
    after = api.call("GET", f"/instances/{whole.instance}")
    assert after.status == 200
    same = ("id", "name", "disabled", "valid", "createdDate", "element", "webhookUrl")
    assert {key: after.json[key] for key in same} == {key: before[key] for key in same}
    report(f"{len(rows)} paths, {len(HEADERS)} kinds of header, {asked} calls")


def test_paths_of_interface_that_are_not_offered_are_unknown(tour: Stack, provider) -> None:
    api = api_of(tour.ingest())
    offered = api.openapi.document["paths"]
    for row in ROWS:
        if row.method.lower() in offered.get(row.path, {}):
            continue
        answer = api.call(row.method, row.target(Scene(1, "x")), row.body)
        assert answer.status in (404, 405), (row, answer)


def test_a_foreign_instance_is_not_to_be_told_from_none(tour: Stack, provider, receiver) -> None:
    ingest, api, made = connected(tour, provider, receiver)
    other = Api(ingest.admin, OTHER, OTHER_ORGANIZATION)
    offered = api.openapi.document["paths"]
    checked = 0
    for row in ROWS:
        if "/instances/{id}" not in row.path or row.method.lower() not in offered.get(row.path, {}):
            continue
        answers = []
        for number in (made["id"], 987654):
            answer = other.call(row.method, row.target(Scene(number, "x")), row.body)
            answer.json["requestId"]
            answers.append(
                (
                    answer.status,
                    answer.json["message"].replace(str(number), "N"),
                    sorted(set(answer.headers) - {"Date"}),
                )
            )
        assert answers[0] == answers[1] and answers[0][0] == 404, (row, answers)
        checked += 1
    assert checked >= 10
    # By a token of another instance of one's own account as well.
    second = api.create(provider, receiver.url("/e"), KEY, user="226067248").json
    for method, body in (("GET", None), ("PATCH", {}), ("PUT", {}), ("DELETE", None)):
        own = api.call(method, f"/instances/{made['id']}", body, second["token"])
        none = api.call(method, "/instances/987654", body, second["token"])
        assert own.status == none.status == 404, (method, own, none)


@pytest.mark.parametrize("turn", ["renewed", "deleted"])
def test_a_token_ends_at_once(tour: Stack, provider, receiver, turn: str) -> None:
    api = api_of(tour.ingest())
    made = api.create(provider, receiver.url("/e"), KEY).json
    own = f"/instances/{made['id']}"
    assert api.call("GET", "/webhooks", token=made["token"]).status == 200
    if turn == "renewed":
        new = api.call("POST", own + "/token").json["token"]
        assert new != made["token"]
        assert api.call("GET", "/webhooks", token=new).status == 200
        assert api.call("GET", own).json["token"] == "********"
    else:
        assert api.call("DELETE", own).json == {}
    assert api.call("GET", "/webhooks", token=made["token"]).status == 401
