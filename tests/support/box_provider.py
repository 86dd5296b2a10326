"""The stand-in Box as a process, and the control API as a caller sees it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from support.broker import _die_with_parent, free_port
from support.openapi import OpenApi
from support.programs import BIN
from support.stack import KEY
from support.wait import until

CLIENT_ID = "planted-client-id"
CLIENT_SECRET = "planted-client-secret"
USER = "planted-user-secret"
VIEWER = "planted-viewer-secret"
OTHER = "planted-other-secret"
ORGANIZATION = "planted-organization-secret"
OTHER_ORGANIZATION = "planted-other-organization"
SEAL = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
BASE = "/elements/api-v2"


class Answer:
    def __init__(self, status: int, headers: dict, body: bytes):
        self.status, self.headers, self.raw = status, headers, body

    @property
    def json(self):
        return json.loads(self.raw)

    def __repr__(self) -> str:
        return f"{self.status} {self.raw[:300]!r}"


def http(method: str, url: str, body=None, headers: dict | None = None, seconds=30.0) -> Answer:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    if data is not None and not (headers or {}).get("Content-Type"):
        request.add_header("Content-Type", "application/json")

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    opener = urllib.request.build_opener(NoRedirect)
    try:
        with opener.open(request, timeout=seconds) as answer:
            return Answer(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, dict(error.headers), error.read())


class BoxProvider:
    """`eventrelay provider box` on a port of its own."""

    def __init__(self, directory: Path, primary: str, secondary: str):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "box.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [
                    str(BIN / "eventrelay"), "provider", "box",
                    "--listen", f"127.0.0.1:{self.port}",
                    "--client-id", CLIENT_ID, "--client-secret", CLIENT_SECRET,
                    "--primary", primary, "--secondary", secondary,
                ],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=os.environ,
                preexec_fn=_die_with_parent,
            )
        until(self._up, 10, "the stand-in Box is up")

    def _up(self) -> bool:
        try:
            return self.state()["requests"] >= 0
        except OSError:
            return False

    def state(self) -> dict:
        return http("GET", self.url + "/standin/state").json

    def post(self, what: str, **body) -> dict:
        answer = http("POST", f"{self.url}/standin/{what}", body)
        assert answer.status in (200, 201), answer
        return answer.json

    def code(self, user: str = "226067247") -> str:
        return self.post("grant", user=user)["code"]

    def fault(self, path: str, status: int = 500, **more) -> None:
        self.post("fault", path=path, status=status, **more)

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def control_config(
    config: dict, provider: BoxProvider, ingest_port: int, receiver_port: int
) -> None:
    """Makes a file's configuration one with the registry in Kafka and the control API."""
    config["registry"] = "topic"
    config.pop("instances", None)
    config["ingest"]["listen"] = [f"127.0.0.1:{ingest_port}"]
    config["ingest"]["public_url"] = f"http://127.0.0.1:{ingest_port}"
    config["seal"] = {"keys": [{"id": "k1", "key": SEAL}]}
    config["providers"] = {
        "box": {
            "authorize_url": provider.url + "/api/oauth2/authorize",
            "token_url": provider.url + "/oauth2/token",
            "revoke_url": provider.url + "/oauth2/revoke",
            "api_url": provider.url + "/2.0",
            "timeout": "2s",
        }
    }
    config["control"] = {
        "enabled": True,
        "auth_failures_per_minute": 0,
        "organizations": [
            {
                "id": 1,
                "name": "acme",
                "secret": ORGANIZATION,
                "accounts": [
                    {
                        "id": 10,
                        "name": "main",
                        "users": [
                            {"id": 100, "secret": USER, "email": "a@acme.example"},
                            {"id": 101, "secret": VIEWER, "role": "viewer"},
                        ],
                    }
                ],
            },
            {
                "id": 2,
                "name": "other",
                "secret": OTHER_ORGANIZATION,
                "accounts": [{"id": 20, "users": [{"id": 200, "secret": OTHER}]}],
            },
        ],
        "delivery_defaults": {
            "allow_http": True,
            "allow_private_addresses": True,
            "ports": [receiver_port],
        },
    }


class Api:
    """Calls of one user at the control API of a process. Every answer is checked against the
    process's own OpenAPI document."""

    def __init__(self, admin_port: int, user: str = USER, organization: str = ORGANIZATION):
        self.base = f"http://127.0.0.1:{admin_port}{BASE}"
        self.user, self.organization = user, organization
        self.openapi = OpenApi(http("GET", f"http://127.0.0.1:{admin_port}/openapi.json").raw)

    def call(self, method: str, path: str, body=None, token: str | None = None, **more) -> Answer:
        kind = f"Element {token}" if token else f"Organization {self.organization}"
        headers = {"Authorization": f"User {self.user}, {kind}", **more.pop("headers", {})}
        return self.send(method, path, body, headers, **more)

    def send(self, method: str, path: str, body=None, headers: dict | None = None, **more):
        answer = http(method, self.base + path, body, headers, **more)
        self.openapi.check(method, path, answer)
        return answer

    def create(
        self, provider: BoxProvider, callback: str, key: str | None = None, **more
    ) -> Answer:
        configuration = {
            "oauth.callback.url": "https://mycoolapp.com/auth",
            "oauth.api.key": CLIENT_ID,
            "oauth.api.secret": CLIENT_SECRET,
            "event.notification.enabled": True,
            "event.notification.callback.url": callback,
            "events.list.ids": "",
        }
        if key:
            configuration["event.notification.signature.key"] = key
        configuration.update(more.pop("configuration", {}))
        return self.call(
            "POST",
            "/instances",
            {
                "element": {"key": "box"},
                "providerData": {"code": provider.code(more.pop("user", "226067247"))},
                "configuration": configuration,
                "tags": ["Docs"],
                "name": "box instance",
                **more,
            },
        )


def api_of(ingest, *who: str) -> Api:
    """The API of a process, once it holds the control role."""
    until(
        lambda: json.loads(ingest.get("/api/v1/status")[1]).get("control", {}).get("role"),
        20,
        "the control role is taken",
    )
    return Api(ingest.admin, *who)


def connected(tour, provider: BoxProvider, receiver):
    """A control process, its API, and what the API answered to an instance that it has made."""
    ingest = tour.ingest()
    api = api_of(ingest)
    made = api.create(provider, receiver.url("/e"), KEY)
    assert made.status == 200, made
    return ingest, api, made.json


FOLDER = {"target": {"id": "1000", "type": "folder"}, "triggers": ["FILE.UPLOADED"]}


def all_pages(ask, path: str) -> list[dict]:
    """The rows of a paged call to its end; `ask` answers one path."""
    found: list[dict] = []
    token = ""
    while True:
        joint = "&" if "?" in path else "?"
        answer = ask(path + (f"{joint}nextPage={token}" if token else ""))
        assert answer.status == 200, answer
        found += answer.json
        token = answer.headers.get("Elements-Next-Page-Token", "")
        if not token:
            return found
