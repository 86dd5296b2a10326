"""A kill at each step of what the control API does at the provider: nothing is left half done.

Each step is tried three times on the same registry, while another instance's uploads go through.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter

import pytest
from support.box_provider import FOLDER, Answer, Api, BoxProvider, api_of
from support.kafka_log import read_topic
from support.stack import KEY, Stack, signed_ok
from support.wait import hold, until

TIMES = 3 if os.environ.get("EVENTRELAY_NIGHTLY") else 1  # kills at each step

pytestmark = pytest.mark.kills


class PatientApi(Api):
    """Comes back, as Retry-After says, while the process has no control role: then nothing was
    done. A Kafka that is slow to take a commit costs the role for a moment."""

    def call(self, method: str, path: str, body=None, token: str | None = None, **more) -> Answer:
        limit = time.monotonic() + 30
        while True:
            answer = super().call(method, path, body, token, **more)
            if answer.status != 503 or "control role" not in answer.json["message"]:
                return answer
            assert time.monotonic() < limit, answer
            hold(int(answer.headers["Retry-After"]))


class Scene:
    """Ingest and relay, an instance whose uploads must all arrive, and one that is worked on."""

    def __init__(self, tour: Stack, provider: BoxProvider, receiver):
        self.tour, self.provider, self.receiver = tour, provider, receiver
        self.relay = tour.relay()
        self.ingest = tour.ingest()
        self.uploads = 0
        api = api_of(self.ingest)
        steady = api.create(provider, receiver.url("/steady"), KEY, user="226067248")
        assert steady.status == 200, steady
        self.steady = steady.json["id"]
        hook = {"target": {"id": "1001", "type": "folder"}, "triggers": ["FILE.UPLOADED"]}
        assert api.call("POST", "/webhooks", hook, steady.json["token"]).status == 200

    def made(self) -> dict:
        made = self.api().create(self.provider, self.receiver.url("/worked"), KEY)
        assert made.status == 200, made
        return made.json

    def api(self) -> Api:
        api_of(self.ingest)  # once the role is taken
        return PatientApi(self.ingest.admin)

    def upload(self) -> None:
        self.provider.post("upload", name=f"{self.uploads}.txt", parent="1001")
        self.uploads += 1

    def killed_at(self, point: str, nth: int, call) -> None:
        """Restarts ingest so that it dies at the nth pass from here on, and lets it die."""
        until(lambda: self.left_to_do() == [], 60, "nothing of an earlier turn is left to do")
        assert self.ingest.end()[0] == 0
        point = f"{point}:{nth}:kill"
        self.ingest = self.tour.ingest(env={"EVENTRELAY_FAILPOINT": point})
        api = self.api()
        self.upload()
        try:
            answer = call(api)
            # A step behind the answer: the clean-up at the provider.
            assert answer.status == 200, answer
        except OSError:
            pass
        assert self.ingest.process.wait(40) == -9, point
        self.upload()  # the provider sends again until somebody answers
        self.ingest = self.tour.ingest()

    def left_to_do(self) -> list[str]:
        """Clean-ups and broken-off calls that stand in the registry."""
        newest: dict[str, bytes] = {}
        for record in read_topic(self.tour.broker.bootstrap, self.tour.prefix + "instances"):
            newest[(record.key or b"").decode()] = record.value
        return [k for k, v in newest.items() if v and k.startswith(("cleanup/", "intent/"))]

    def check_events(self) -> None:
        """Each upload was delivered to the steady instance, under one event id, and signed."""

        def arrived() -> bool:
            return len(self.names()) >= self.uploads

        until(arrived, 60, f"{self.uploads} uploads arrive")
        names = self.names()
        assert set(names) == {f"{number}.txt" for number in range(self.uploads)}
        assert set(Counter(names.values()).values()) == {1}, "one event id for each"
        twice = [n for n, times in self.times.items() if times > 1]
        assert twice == [], "no event twice"

    def names(self) -> dict[str, str]:
        found: dict[str, str] = {}
        self.times: Counter[str] = Counter()
        for each in self.receiver.deliveries("/steady"):
            assert signed_ok(each)
            message = json.loads(each.body)["message"]
            name = message["raw"]["source"]["name"]
            assert found.setdefault(name, message["eventId"]) == message["eventId"], name
            self.times[name] += 1
        return found

    def hooks(self) -> list[dict]:
        """Webhooks of the user whose instances are worked on."""
        return [h for h in self.provider.state()["webhooks"] if h["target"]["id"] != "1001"]


@pytest.fixture
def scene(tour: Stack, provider, receiver) -> Scene:
    return Scene(tour, provider, receiver)


CREATE = [("after-grant", 1), ("before-registry-write", 1), ("after-registry-write", 1)]


@pytest.mark.parametrize("point,nth", CREATE, ids=[f"{p}-{n}" for p, n in CREATE])
def test_create(scene: Scene, point: str, nth: int) -> None:
    for number in range(TIMES):
        before = {each["id"] for each in scene.api().call("GET", "/instances").json}
        scene.killed_at(
            point, nth, lambda api: api.create(scene.provider, scene.receiver.url("/worked"), KEY)
        )
        api = scene.api()
        after = {each["id"] for each in api.call("GET", "/instances").json}
        if point == "after-registry-write":
            # It was written before the kill: it is whole, and can be taken or deleted by its id.
            (made,) = after - before
            assert made > max(before)
            shown = api.call("GET", f"/instances/{made}").json
            assert shown["valid"] is True and shown["problem"] is None
            token = api.call("POST", f"/instances/{made}/token").json["token"]
            assert api.call("GET", "/webhooks", token=token).status == 200
            assert api.call("DELETE", f"/instances/{made}").json == {}
            until(lambda: scene.provider.state()["refresh_tokens"] == 1, 40, "given back")
        else:
            assert after == before, "no instance"
        again = scene.made()
        assert again["id"] > max(after | before), "no id twice"
        assert api.call("DELETE", f"/instances/{again['id']}").json == {}
        assert number < TIMES
    scene.check_events()


REFRESH = [("after-refresh", 1), ("before-registry-write", 1), ("after-registry-write", 1)]


@pytest.mark.parametrize("point,nth", REFRESH, ids=[f"{p}-{n}" for p, n in REFRESH])
def test_refresh(scene: Scene, point: str, nth: int) -> None:
    for _ in range(TIMES):
        made = scene.made()
        own, token = f"/instances/{made['id']}", made["token"]

        def call(api: Api, token: str = token):
            scene.provider.post("expire")
            return api.call("GET", "/webhooks", token=token)

        scene.killed_at(point, nth, call)
        api = scene.api()
        answer = api.call("GET", "/webhooks", token=token)
        shown = api.call("GET", own).json
        if point == "after-registry-write":
            assert answer.status == 200 and shown["valid"] is True
        else:
            # Box's refresh token is good once: the user must grant again, and is told so.
            assert answer.status == 403, answer
            assert shown["valid"] is False and "authorize again" in shown["problem"]
            granted = {"providerData": {"code": scene.provider.code()}}
            assert api.call("PATCH", own, granted).json["valid"] is True
            assert api.call("GET", "/webhooks", token=token).status == 200
        assert api.call("DELETE", own).json == {}
    scene.check_events()


WEBHOOK = [
    ("before-registry-write", 1),  # the intent
    ("after-registry-write", 1),
    ("after-webhook-made", 1),
    ("before-registry-write", 2),  # the document
    ("after-registry-write", 2),
]


@pytest.mark.parametrize("point,nth", WEBHOOK, ids=[f"{p}-{n}" for p, n in WEBHOOK])
def test_webhook(scene: Scene, point: str, nth: int) -> None:
    for _ in range(TIMES):
        made = scene.made()
        own, token = f"/instances/{made['id']}", made["token"]
        scene.killed_at(point, nth, lambda api: api.call("POST", "/webhooks", FOLDER, token))
        api = scene.api()

        def owned() -> bool:
            known = {each["id"] for each in api.call("GET", own).json["webhooks"]}
            return known == {each["id"] for each in scene.hooks()}

        until(owned, 40, "every webhook at the provider has its owner")
        if point == "after-registry-write" and nth == 2:
            assert len(scene.hooks()) == 1
        else:
            assert scene.hooks() == []
            assert api.call("POST", "/webhooks", FOLDER, token).status == 200
        assert api.call("DELETE", own).json == {}
        until(lambda: scene.hooks() == [], 40, "cleaned up")
    scene.check_events()


DELETE = [
    ("before-registry-write", 1),
    ("after-registry-write", 1),
    ("after-clean-webhook", 1),
    ("before-registry-write", 2),  # of the clean-up that is done
    ("after-registry-write", 2),
]


@pytest.mark.parametrize("point,nth", DELETE, ids=[f"{p}-{n}" for p, n in DELETE])
def test_delete(scene: Scene, point: str, nth: int) -> None:
    for _ in range(TIMES):
        made = scene.made()
        own, token = f"/instances/{made['id']}", made["token"]
        assert scene.api().call("POST", "/webhooks", FOLDER, token).status == 200
        scene.killed_at(point, nth, lambda api: api.call("DELETE", own))
        api = scene.api()
        shown = api.call("GET", own)
        if (point, nth) == ("before-registry-write", 1):
            assert shown.status == 200 and shown.json["valid"] is True
            assert len(scene.hooks()) == 1
            assert api.call("DELETE", own).json == {}
        assert api.call("GET", own).status == 404
        assert api.call("GET", "/webhooks", token=token).status == 401
        until(lambda: scene.hooks() == [], 40, "the webhook is gone at the provider")
        until(lambda: scene.provider.state()["refresh_tokens"] == 1, 40, "tokens are given back")
    hold(1, lambda: scene.hooks() == [], "and nothing comes back")
    scene.check_events()
