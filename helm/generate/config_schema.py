"""JSON Schema (draft 7) of the configuration file.

`eventrelay config-schema --draft7` is where it comes from (`generate --schema-of`). While COMING is
not empty the program has no such command: then it is read from the list of every key in
docs/configuration.md, which a test of the program keeps equal to its own table, and COMING adds
what is agreed and not built yet. Emptying COMING makes the file that the program wrote the source.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

VARIABLE = r"\$\{"
DURATION: Schema = {
    "type": "string",
    "pattern": rf"^([0-9]+(ms|s|m|h|d)|.*{VARIABLE}.*)$",
}
SIZE: Schema = {
    "type": "string",
    "pattern": rf"^([0-9]+(B|KiB|MiB|GiB|kB|MB|GB)|.*{VARIABLE}.*)$",
}
SECRET: Schema = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"file": {"type": "string"}},
            "required": ["file"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"env": {"type": "string"}},
            "required": ["env"],
            "additionalProperties": False,
        },
    ]
}
SCALAR = ["string", "number", "boolean"]


def ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def map_of(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def text(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)} if words else {"type": "string"}


def list_of(values: Schema) -> Schema:
    return {"type": "array", "items": values}


TLS: Schema = {
    "type": "object",
    "properties": {"cert": text(), "key": text()},
    "additionalProperties": False,
}
# Keys that are agreed and that the programs do not take yet. Empty once config-schema exists.
COMING: dict[str, Schema] = {
    "admin.open": list_of(text("metrics")),
    "admin.hosts": list_of(text()),
    "admin.tls": TLS,
    "ingest.public_url": text(),
    "ingest.connections_max": {"type": "integer", "minimum": 1},
    "ingest.handshakes_max": {"type": "integer", "minimum": 1},
    "seal": {
        "type": "object",
        "properties": {
            "keys": list_of(
                {
                    "type": "object",
                    "properties": {"id": text(), "key": ref("secret")},
                    "required": ["id", "key"],
                    "additionalProperties": False,
                }
            )
        },
        "additionalProperties": False,
    },
    "providers": map_of(map_of({"type": SCALAR})),
    "schemes": map_of({"type": "object"}),
    "tracing": {"type": "object"},
    "control.organizations": list_of({"type": ["string", "object"]}),
    "control.auth_failures_per_minute": {"type": "integer", "minimum": 0},
    "control.delivery_defaults": ref("delivery"),
    "sources.<name>.token": ref("secret"),
    "sources.<name>.handshake": text("none", "dropbox", "slack", "meta", "graph", "cloudevents"),
    "sources.<name>.raw": text("full", "part"),
    "sources.<name>.normalize": {"type": "object"},
    "sources.<name>.route": text(),
    "instances[].delivery.auth": map_of({"type": [*SCALAR, "object"]}),
    "instances[].delivery.client_cert_pem": ref("secret"),
    "instances[].delivery.ca_pem": text(),
    "instances[].delivery.failure_policy": text("retry", "queue"),
    "instances[].subscriptions[].filter.match": list_of({"type": "object"}),
}


def listed(page: str) -> dict[str, tuple[str, str]]:
    """Key -> (sentence, kind line) of the block that lists every key."""
    block = re.search(r"```text\n(version\n.*?)```", page, re.S)
    if block is None:
        raise SystemExit("generate: docs/configuration.md has no list of every key")
    keys: dict[str, tuple[str, str]] = {}
    for entry in re.split(r"\n(?=\S)", block.group(1).rstrip()):
        key, *rest = (line.strip() for line in entry.splitlines())
        keys[key] = (rest[0], rest[1] if len(rest) > 1 else "")
    return keys


def bounds(kind: str) -> tuple[str | None, str | None]:
    match = re.search(r"([\w.]+?)\.\.([\w.]+)", kind)
    return match.groups() if match else (None, None)


def number(kind: str, type_name: str) -> Schema:
    low, high = bounds(kind)
    schema: Schema = {"type": type_name}
    if low is not None and high is not None:
        cast = float if type_name == "number" else int
        schema |= {"minimum": cast(low), "maximum": cast(high)}
    return schema


def sized(schema: Schema, kind: str, low_key: str, high_key: str) -> Schema:
    low, high = bounds(kind)
    if low is not None and high is not None:
        schema = schema | {low_key: int(low), high_key: int(high)}
    return schema


def of_kind(key: str, kind: str) -> Schema:
    """The schema of one kind line, e.g. `whole number, 1..10; default 1; restart`."""
    kind = kind.split("; ")[0]
    if kind.startswith("whole number"):
        return number(kind, "integer")
    if kind.startswith("number"):
        return number(kind, "number")
    if kind.startswith("true or false"):
        return {"enum": [True, False, "true", "false"]} if ".event." in key else {"type": "boolean"}
    if kind.startswith("one of "):
        return text(*re.match(r"one of (.*)", kind).group(1).split(", "))
    if kind.startswith("duration"):
        return ref("duration")
    if kind.startswith("size"):
        return ref("size")
    if kind.startswith("secret"):
        return ref("secret")
    if kind.startswith("list of durations, or one of "):
        words = re.match(r"list of durations, or one of ([\w-]+), ([\w-]+)", kind).groups()
        entries = sized(list_of(ref("duration")), kind, "minItems", "maxItems")
        return {"anyOf": [entries, text(*words)]}
    if kind.startswith("list of secrets"):
        return sized(list_of(ref("secret")), kind, "minItems", "maxItems")
    if kind.startswith("list of texts"):
        return sized(list_of(text()), kind, "minItems", "maxItems")
    if kind.startswith("list of whole numbers"):
        return list_of(number(kind, "integer"))
    if kind.startswith("text or list of texts"):
        return {"anyOf": [text(), sized(list_of(text()), kind, "minItems", "maxItems")]}
    if kind.startswith("text"):
        return sized(text(), kind, "minLength", "maxLength") if ".." in kind else text()
    if kind.startswith("path"):
        return text()
    raise SystemExit(f"generate: {key}: no schema for `{kind}`")


def parts_of(key: str) -> list[str]:
    """Steps to a key: names, `[]` for the entries of a list, `<..>` for any name."""
    key, dotted, tail = key.partition("configuration.")
    head = re.findall(r"\[\]|[^.\[\]]+", key)
    return [*head, "configuration", tail] if dotted else head


def place(root: Schema, key: str, schema: Schema) -> None:
    node = root
    parts = parts_of(key)
    for step, part in enumerate(parts):
        last = step == len(parts) - 1
        if part == "[]":
            node.setdefault("type", "array")
            node = node.setdefault("items", {})
            continue
        node.setdefault("type", "object")
        node.setdefault("additionalProperties", False)
        if part.startswith("<"):
            if last:
                node["additionalProperties"] = schema
                return
            if node["additionalProperties"] is False:
                node["additionalProperties"] = {}
            node = node["additionalProperties"]
        elif last:
            node.setdefault("properties", {})[part] = schema
        else:
            node = node.setdefault("properties", {}).setdefault(part, {})


def from_page(page: str) -> Schema:
    root: Schema = {}
    as_admin = []
    for key, (sentence, kind) in listed(page).items():
        if sentence == "As admin.":
            as_admin.append(key)
            continue
        if sentence.startswith("As instances[].delivery."):
            schema = ref("delivery")
        elif key.startswith("kafka."):
            schema = {"anyOf": [{"type": SCALAR}, ref("secret")]}
        elif key == "instances[].configuration.<key>":
            schema = {}
        elif key == "instances[].delivery.headers.<name>":
            schema = ref("secret")
        else:
            schema = of_kind(key, kind)
        place(root, key, schema if "$ref" in schema else schema | {"description": sentence})
    for key, schema in COMING.items():
        place(root, key, schema)
    for key in as_admin:
        place(root, key, root["properties"]["admin"])
    instance = root["properties"]["instances"]["items"]
    instance["required"] = ["id", "element"]
    delivery = instance["properties"]["delivery"]
    instance["properties"]["delivery"] = ref("delivery")
    root["definitions"] = {
        "duration": DURATION,
        "size": SIZE,
        "secret": SECRET,
        "delivery": delivery,
    }
    return root | {"title": "Configuration of eventrelay"}


def from_program(program: Path) -> Schema:
    answer = subprocess.run(
        [program, "config-schema", "--draft7"], capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise SystemExit(f"generate: {program} config-schema --draft7: {answer.stderr.strip()}")
    return json.loads(answer.stdout)
