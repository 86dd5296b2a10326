"""Thirty secrets go in at every place there is; none of them comes out in plain."""

from __future__ import annotations

import base64
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import box
from support.box_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    FOLDER,
    ORGANIZATION,
    OTHER,
    OTHER_ORGANIZATION,
    SEAL,
    USER,
    VIEWER,
    api_of,
    http,
)
from support.kafka_log import read_topic, topics
from support.programs import run
from support.stack import KEY, V1_TOKEN, Stack
from support.wait import until

ADMIN = "planted-admin-token-0123456789"


def test_none_of_thirty_secrets_is_readable(tour: Stack, provider, receiver, tmp_path) -> None:
    token_file = tmp_path / "admin-token"
    token_file.write_text(ADMIN)
    tour.config["admin"]["token_file"] = str(token_file)
    tour.config["log"] = {"format": "json", "level": "debug"}
    ingest, relay = tour.start("ingest", ready=False), tour.start("relay", ready=False)
    bearer = {"Authorization": f"Bearer {ADMIN}"}

    def admin(program, path: str, method: str = "GET") -> str:
        answer = http(method, f"http://127.0.0.1:{program.admin}{path}", headers=bearer)
        assert answer.status in (200, 400), (path, answer)
        return answer.raw.decode()

    for program in (ingest, relay):
        program.wait_ready()
    until(lambda: '"role":true' in admin(ingest, "/api/v1/status"), 20, "the role is taken")
    ingest.get = lambda path: (200, admin(ingest, path))  # type: ignore[method-assign]
    api = api_of(ingest)

    planted = {
        "event.vendor.signature.key": "planted-vendor-key",
        "event.vendor.signature.key.secondary": "planted-vendor-secondary",
        "event.vendor.token": "planted-vendor-token",
        "my.password": "planted-password",
        "my.api.key": "planted-api-key",
        "my.secret": "planted-secret-word",
        "my.token": "planted-token-word",
    }
    delivery = {
        "headers": {"X-Any": "planted-header", "Authorization": "planted-authorization"},
        "keys": ["planted-old-key", "planted-older-key"],
    }
    subscriptions = [
        {
            "name": "a",
            "url": receiver.url("/a"),
            "key": "planted-subscription-key",
            "delivery": {"headers": {"X-B": "planted-subscription-header"}, "keys": ["planted-c"]},
        }
    ]
    more = {"configuration": planted, "delivery": delivery, "subscriptions": subscriptions}
    made = api.create(provider, receiver.url("/e"), KEY, **more)
    assert made.status == 200, made
    own, token = f"/instances/{made.json['id']}", made.json["token"]
    answers = [made.raw.replace(token.encode(), b"")]
    codes = [provider.code(), "planted-grant-code"]
    secrets = [
        *(CLIENT_ID, CLIENT_SECRET, USER, VIEWER, OTHER, ORGANIZATION, OTHER_ORGANIZATION),
        *(SEAL, ADMIN, KEY, V1_TOKEN, box.PRIMARY, box.SECONDARY, token),
        *planted.values(),
        *delivery["headers"].values(),
        *delivery["keys"],
        *("planted-subscription-key", "planted-subscription-header", "planted-c"),
        *codes,
    ]
    # What the stand-in gave; each of them begins so.
    patterns = [rb"access-[0-9a-f]{20}", rb"refresh-[0-9a-f]{20}"]
    assert len(set(secrets)) + len(patterns) >= 30

    # Everything that can be asked, done and refused with a secret in it.
    hook = api.call("POST", "/webhooks", FOLDER, token)
    answers.append(hook.raw)
    for method, path, body in [
        ("GET", own, None),
        ("GET", "/instances", None),
        ("GET", own + "/configuration", None),
        *(("GET", f"{own}/configuration/{key}", None) for key in planted),
        ("PATCH", own, {"configuration": {"my.password": "planted-password", "x": 1}}),
        ("PATCH", own, {"configuration": {"event.vendor.token": V1_TOKEN + "\n" * 300}}),
        ("PATCH", own, {"delivery": {"keys": [KEY] * 50}}),
        ("PATCH", own, {"delivery": {"headers": {"X\n": "planted-header"}}}),
        ("PATCH", own, {"delivery": {"headers": {"X-A": "planted-header\r\nY: 1"}}}),
        ("PATCH", own, {"subscriptions": [{"name": "a", "key": "planted-subscription-key"}]}),
        ("PATCH", own, b'{"configuration":{"my.secret":"planted-secret-word"'),
        ("PATCH", own, b'{"token":"planted-token-word","token":"planted-token-word"}'),
        ("PATCH", own, {"providerData": {"code": "planted-grant-code"}}),
        ("PATCH", own, {"providerData": {"code": "planted-grant-code\n"}}),
        ("POST", "/instances", {"name": "x", "element": {"key": "planted-password"[:3]}}),
    ]:
        answers.append(api.call(method, path, body).raw)
    again = api.create(
        provider, receiver.url("/e"), KEY, configuration={"oauth.api.secret": "planted-c"}
    )
    assert again.status == 400
    answers.append(again.raw)
    for header in (f"User {USER}", f"User {USER}, Element {token}x", f"Bearer {ADMIN}", USER):
        answers.append(api.send("GET", "/instances", headers={"Authorization": header}).raw)

    # Events in and out, by V2 and by V1, one of them with a token that is wrong.
    v1 = api.call("GET", own + "/setup").json["v1"]  # the one answer that has the V1 token
    url = f"http://127.0.0.1:{ingest.port}/elements/api-v2/events/box/{made.json['id']}"
    sent = run("eventrelay", "send", "box-v2", "--key", "planted-vendor-key", "--url", url)
    assert sent.returncode == 0, sent.stderr
    for v1_token in ("planted-vendor-token", "planted-c-wrong-token"):
        provider.post("v1", url=v1["url"], token=v1_token)
        provider.post("upload", name="v1.txt", parent="1001")
    until(lambda: provider.state()["failed"] >= 1, 20, "the wrong token is refused")
    receiver.wait_for(4, 30)  # two events, two subscriptions
    provider.post("expire")
    assert api.call("GET", "/webhooks", token=token).status == 200  # refreshed
    provider.post("withdraw")
    provider.post("expire")
    answers.append(api.call("GET", "/webhooks", token=token).raw)

    readable: dict[str, bytes] = {f"answer {i}": raw for i, raw in enumerate(answers)}
    for program in (ingest, relay):
        for path in ("/metrics", "/api/v1/status", "/readyz", "/version"):
            readable[f"{program.name} {path}"] = admin(program, path).encode()
    readable["openapi"] = http("GET", f"http://127.0.0.1:{ingest.admin}/openapi.json").raw
    readable["a refused reload"] = refused_reload(tour, ingest, admin).encode()
    path = str(tour.write())
    for command in (
        ("print-config", "-c", path),
        ("check-config", "-c", path),
        ("registry", "list", "-c", path),
        ("registry", "list", "-c", path, "--json"),
        ("registry", "export", "-c", path),
    ):
        done = run("eventrelay", *command)
        assert done.returncode == 0, done.stderr
        readable[" ".join(command)] = done.stdout + done.stderr
    # What a subscriber gets carries the headers; its body tells nothing.
    for number, each in enumerate(receiver.deliveries()):
        readable[f"notification {number}"] = each.body
    names = topics(tour.broker.bootstrap, tour.prefix)
    assert tour.prefix + "instances" in names and tour.events in names
    for topic in names:
        readable[f"topic {topic}"] = b"\n".join(
            (record.key or b"") + b" " + (record.value or b"") + repr(record.headers).encode()
            for record in read_topic(tour.broker.bootstrap, topic)
        )
    assert b'"instance"' in readable[f"topic {tour.prefix}instances"]
    for program in (ingest, relay):
        assert program.end()[0] == 0
        readable[program.name] = program.log_path.read_bytes() + program.out_path.read_bytes()

    found = []
    for name, text in readable.items():
        for secret in secrets:
            forms = {secret, secret.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")}
            forms |= {secret.replace("/", "\\/"), base64.b64encode(secret.encode()).decode()}
            found += [f"{secret} in {name}" for form in forms if form.encode() in text]
        found += [f"{pattern!r} in {name}" for pattern in patterns if re.search(pattern, text)]
    assert found == []


def refused_reload(tour: Stack, ingest, admin) -> str:
    """A configuration that is wrong beside its secrets."""
    good = tour.write().read_text()
    path = tour.write()
    path.write_text(good.replace('"role": "viewer"', '"role": "owner"'))
    said = admin(ingest, "/-/reload", "POST")
    assert "role" in said, said
    path.write_text(good)
    return said


def crash(command: list[str], directory: Path) -> tuple[bool, list[Path]]:
    """Lets a program abort that was started with every limit of core files off."""

    def unlimited() -> None:
        resource.setrlimit(
            resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )

    process = subprocess.Popen(
        command,
        cwd=directory,
        preexec_fn=unlimited,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if b"ready" in line or b"stand-in" in line or b"up" in line:
            break
    os.kill(process.pid, signal.SIGABRT)
    process.stdout.close()
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -signal.SIGABRT
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT
    return os.WCOREDUMP(status), list(directory.glob("core*"))


def test_a_crash_leaves_no_core_file(tour: Stack, tmp_path) -> None:
    from support.programs import BIN

    folder = tmp_path / "cwd"
    folder.mkdir()
    plain = [sys.executable, "-uc", "import signal; print('ready'); signal.pause()"]
    if not crash(plain, folder)[0]:
        pytest.fail("this machine writes no core file for any program: nothing can be shown")
    for left in folder.glob("core*"):
        left.unlink()
    path = str(tour.write())
    for command in (
        [str(BIN / "eventrelay-ingest"), "-c", path],
        [str(BIN / "eventrelay-relay"), "-c", path],
        [str(BIN / "eventrelay"), "dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
        [str(BIN / "eventrelay"), "provider", "box", "--listen", "127.0.0.1:0"],
    ):
        dumped, files = crash(command, folder)
        assert (dumped, files) == (False, []), command[0]
