"""The way of the Box events page, from its own curl to a signed notification, by V2 and by V1."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess

import jsonschema
from support.box_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    ORGANIZATION,
    USER,
    Api,
    api_of,
)
from support.stack import KEY, V1_TOKEN, Stack, signed_ok
from support.wait import until

# The command as the page has it, with its placeholders; the comma behind `oauth.api.secret` is the
# one that the page lacks.
PAGE = r"""curl -X POST \
  https://api.cloud-elements.com/elements/api-v2/instances \
  -H 'authorization: User <USER_SECRET>, Organization <ORGANIZATION_SECRET>' \
  -H 'content-type: application/json' \
  -d '{
  "element": {
    "key": "box"
  },
  "providerData": {
    "code": "xoz8AFqScK2ngM04kSSM"
  },
  "configuration": {
    "oauth.callback.url": "https://mycoolapp.com",
    "oauth.api.key": "xxxxxxxxxxxxxxxxxx",
    "oauth.api.secret": "xxxxxxxxxxxxxxxxxxxxxx"
    "event.notification.enabled": true,
    "event.notification.callback.url": "https://mycoolapp.com/events",
    "event.notification.signature.key": "xxxxxxxxxxxxxxxxxxxxxxxxx",
    "events.list.ids": "xxxxxx"
  },
  "tags": [
    "Docs"
  ],
  "name": "API Instance"
}'"""
COMMA = '"xxxxxxxxxxxxxxxxxxxxxx"\n', '"xxxxxxxxxxxxxxxxxxxxxx",\n'


def with_own_values(command: str, api: Api, code: str, callback: str) -> str:
    for page, own in {
        "https://api.cloud-elements.com/elements/api-v2": api.base,
        "<USER_SECRET>": USER,
        "<ORGANIZATION_SECRET>": ORGANIZATION,
        "xoz8AFqScK2ngM04kSSM": code,
        '"https://mycoolapp.com/events"': json.dumps(callback),
        '"xxxxxxxxxxxxxxxxxxxxxxxxx"': json.dumps(KEY),
        '"xxxxxxxxxxxxxxxxxxxxxx"': json.dumps(CLIENT_SECRET),
        '"xxxxxxxxxxxxxxxxxx"': json.dumps(CLIENT_ID),
    }.items():
        assert page in command, page
        command = command.replace(page, own)
    return command


def shell(command: str) -> dict:
    done = subprocess.run(
        ["bash", "-c", command + " -sS"], capture_output=True, timeout=30, check=True
    )
    return json.loads(done.stdout)


def test_the_curl_of_the_page_to_a_signed_notification(tour: Stack, provider, receiver) -> None:
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    callback = receiver.url("/events")

    # As the page prints it, it is no JSON; the answer says where.
    refused = shell(with_own_values(PAGE, api, provider.code(), callback))
    assert "line 12" in refused["message"] and refused["requestId"], refused

    made = shell(with_own_values(PAGE.replace(*COMMA), api, provider.code(), callback))
    instance, token = made["id"], made["token"]
    jsonschema.Draft202012Validator(api.openapi.schema("Instance")).validate(made)
    assert made["element"]["key"] == "box" and made["elementId"] == 22
    assert made["name"] == "API Instance" and made["tags"] == ["Docs"]
    assert made["valid"] is True and made["eventsEnabled"] is True
    configuration = made["configuration"]
    assert configuration["events.list.ids"] == "xxxxxx", "an unknown key is kept"
    assert configuration["event.notification.enabled"] == "true"
    assert configuration["oauth.user.id"] == "226067247"
    assert configuration["oauth.api.secret"] == "********"

    hook = shell(
        f"curl -X POST {api.base}/webhooks -H 'Authorization: User {USER}, Element {token}' "
        "-H 'Content-Type: application/json' "
        """-d '{"target":{"id":"1000","type":"folder"},"triggers":["FILE.UPLOADED"]}'"""
    )
    assert hook["address"] == made["webhookUrl"]

    provider.post("upload", name="a.txt", parent="1000")
    receiver.wait_for(1, 30)
    delivery = receiver.deliveries()[0]
    digest = hmac.new(KEY.encode(), delivery.body, hashlib.sha256).digest()
    assert delivery.headers["elements-webhook-signature"] == (
        "sha256=" + base64.b64encode(digest).decode()
    )
    message = json.loads(delivery.body)["message"]
    assert delivery.headers["elements-webhook-id"] == message["eventId"]
    assert message["instanceId"] == instance and message["instanceName"] == "API Instance"
    assert (message["accountId"], message["companyId"], message["userId"]) == (10, 1, 100)
    assert message["events"][0]["eventType"] == "CREATED"
    assert message["events"][0]["objectType"] == "file"
    assert message["raw"]["source"]["name"] == "a.txt"
    until(lambda: provider.state()["delivered"] == 1, 10, "Box has its 2xx")
    assert len(receiver.deliveries()) == 1
    assert relay.end()[0] == 0 and ingest.end()[0] == 0


def test_the_same_by_v1(tour: Stack, provider, receiver) -> None:
    """Hand-made at Box of what /setup says; each form of notification is without the token."""
    ingest, relay = tour.ingest(), tour.relay()
    api = api_of(ingest)
    formats = ("elements", "raw", "cloudevents", "cloudevents-binary")
    made = shell(
        with_own_values(
            PAGE.replace(*COMMA), api, provider.code(), receiver.url("/callback")
        )
    )
    subscriptions = [
        {"name": each, "url": receiver.url("/" + each), "key": KEY, "delivery": {"format": each}}
        for each in formats
    ]
    own = f"/instances/{made['id']}"
    changed = api.call("PATCH", own, {"subscriptions": subscriptions})
    assert changed.status == 200, changed

    setup = api.call("GET", own + "/setup").json
    v1 = setup["v1"]
    assert v1["payloadFormat"] == "REST" and v1["url"] == made["webhookUrl"]
    assert {each["method"] for each in v1["callbackParameters"]} == {"Post"}
    values = {each["name"]: each["value"] for each in v1["callbackParameters"]}
    token = values.pop("token")
    assert values == {
        "itemType": "#item_type#",
        "newItemId": "#new_item_id#",
        "userId": "#to_user_ids#",
        "event": "#event_type#",
        "itemId": "#item_id#",
    }
    assert len(token) >= 16

    # The instance's own URL with its own token, and the one of the whole app with the source's,
    # which the user routes.
    app_wide = v1["url"].rsplit("/", 1)[0]
    for number, (url, shared) in enumerate([(v1["url"], token), (app_wide, V1_TOKEN)], 1):
        provider.post("v1", url=url, token=shared)
        provider.post("upload", name="v1.txt")
        receiver.wait_for(5 * number, 30)
    bodies = receiver.deliveries()
    assert sorted({each.path for each in bodies}) == sorted(
        ["/callback", *("/" + each for each in formats)]
    )
    for each in bodies:
        assert signed_ok(each), each.path
        for secret in (token, V1_TOKEN):
            escaped = secret.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
            assert secret.encode() not in each.head + each.body, each.path
            assert escaped.encode() not in each.head + each.body, each.path
        if each.path == "/callback":
            message = json.loads(each.body)["message"]
            assert message["instanceId"] == made["id"]
            assert message["events"][0]["eventType"] == "CREATED"
    provider.post("v1", url=v1["url"], token="wrong-token-of-16-bytes")
    failed = provider.state()["failed"]
    provider.post("upload", name="v1.txt")
    until(lambda: provider.state()["failed"] == failed + 1, 10, "another token is refused")
    assert relay.end()[0] == 0 and ingest.end()[0] == 0
