"""Box events as Box sends them, signed by Python's own hmac.

Rules: developer.box.com/guides/webhooks/v2/signatures-v2 and .../webhooks/v1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from datetime import datetime, timezone

PRIMARY = "box-primary-key"
SECONDARY = "box-secondary-key"
BASE = "/elements/api-v2"


def stamp(offset: float = 0.0) -> str:
    return datetime.fromtimestamp(time.time() + offset, timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%S+00:00"
    )


def mac(key: str, *parts: bytes) -> str:
    digest = hmac.new(key.encode(), b"".join(parts), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def body(number: int, trigger: str = "FILE.UPLOADED", object_id: str | None = None) -> bytes:
    """A webhook event of about 0.9 kB; escaped as PHP does, like Box's."""
    return json.dumps(
        {
            "type": "webhook_event",
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"event-{number}")),
            "created_at": "2026-03-01T10:10:32-07:00",
            "trigger": trigger,
            "webhook": {"id": "1616161", "type": "webhook"},
            "created_by": {"type": "user", "id": "226067247", "name": "Ada", "login": "a@b.c"},
            "source": {
                "id": object_id or str(73835521473 + number),
                "type": trigger.split(".")[0].lower(),
                "name": f"Screen\u30b7\u30e7\u30c3\u30c8 {number}.png",
                "description": "x" * 300,
                "etag": "0",
                "sequence_id": "0",
                "parent": {"type": "folder", "id": "0", "name": "All Files"},
                "shared_link": {"url": "https://app.box.com/s/abc"},
            },
            "additional_info": [],
        },
        separators=(",", ":"),
    ).replace("/", "\\/").encode()


def provider_id(raw: bytes) -> str:
    return json.loads(raw)["id"]


def v2_headers(raw: bytes, at: str | None = None, keys: tuple[str, ...] = (PRIMARY, SECONDARY)):
    at = at or stamp()
    headers = [
        ("BOX-DELIVERY-ID", str(uuid.uuid4())),
        ("BOX-DELIVERY-TIMESTAMP", at),
        ("BOX-SIGNATURE-VERSION", "1"),
        ("BOX-SIGNATURE-ALGORITHM", "HmacSHA256"),
    ]
    for slot, key in zip(("PRIMARY", "SECONDARY"), keys):
        headers.append((f"BOX-SIGNATURE-{slot}", mac(key, raw, at.encode())))
    return headers


def path(instance: int, element: str = "box") -> str:
    return f"{BASE}/events/{element}/{base64.b64encode(str(instance).encode()).decode()}"


def http(method: str, target: str, headers: list[tuple[str, str]], raw: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: ingest.test"]
    lines += [f"{name}: {value}" for name, value in headers]
    if method == "POST" and not any(n.lower() == "content-length" for n, _ in headers):
        lines.append(f"Content-Length: {len(raw)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def v2_request(instance: int, raw: bytes, at: str | None = None) -> bytes:
    headers = [("Content-Type", "application/json; charset=utf-8")]
    headers += [("User-Agent", "Box-WH-Client/0.1")] + v2_headers(raw, at)
    return http("POST", path(instance), headers, raw)


def v1_form(users: list[str], item: str, token: str | None, event: str = "uploaded") -> bytes:
    members = json.dumps(users)
    form = f"userId={members}&event={event}&itemId={item}&itemType=file&newItemId="
    return (form + (f"&token={token}" if token else "")).encode()


def v1_request(users: list[str], item: str, token: str | None) -> bytes:
    raw = v1_form(users, item, token)
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    return http("POST", f"{BASE}/events/box", headers, raw)
