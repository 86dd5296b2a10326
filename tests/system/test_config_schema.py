"""The schema of `eventrelay config-schema` takes what the loader takes, and refuses a wrong key."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from support.programs import BIN

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = yaml.safe_load((ROOT / "docs/example.yaml").read_text())


@pytest.fixture(scope="module", params=["--draft7", None])
def validator(request: pytest.FixtureRequest) -> jsonschema.protocols.Validator:
    flags = [request.param] if request.param else []
    command = [str(BIN / "eventrelay"), "config-schema", *flags]
    done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    schema = json.loads(done.stdout)
    made = jsonschema.validators.validator_for(schema)
    seven = jsonschema.Draft7Validator
    assert (made is seven) == (request.param == "--draft7")
    made.check_schema(schema)
    return made(schema)


def changed(path: str, value: object) -> dict:
    whole = json.loads(json.dumps(EXAMPLE))
    *sections, key = path.split("/")
    at = whole
    for part in sections:
        at = at[int(part) if part.isdigit() else part]
    at[key] = value
    return whole


def test_takes_the_example(validator) -> None:
    validator.validate(EXAMPLE)
    validator.validate({})
    validator.validate({"version": 1, "kafka": None})


@pytest.mark.parametrize(
    "path, value",
    [
        ("kafka/sasl.password", {"file": "/run/secrets/kafka"}),
        ("kafka/linger.ms", 5),
        ("retry/delays", "ce"),
        ("ingest/listen", ["127.0.0.1:1", "[::1]:2"]),
        ("ingest/shards", "${SHARDS:-2}"),
        ("relay/shards", 4),
        ("admin/open", ["metrics"]),
        ("instances/0/configuration/a.key.of.the.customer", "kept"),
        ("instances/0/delivery/retry_delays", ["10s", "1m"]),
    ],
)
def test_takes(validator, path: str, value: object) -> None:
    validator.validate(changed(path, value))


@pytest.mark.parametrize(
    "path, value",
    [
        ("ingset", {}),
        ("ingest/shard", 1),
        ("ingest/shards", -1),
        ("ingest/shards", 1.5),
        ("ingest/shards", "many"),
        ("ingest/body_max", 1000),
        ("ingest/ack_timeout", "5"),
        ("ingest/chunked", "yes"),
        ("log/level", "loud"),
        ("retry/delays", []),
        ("sources/box/keys", [{"flie": "/x"}]),
        ("sources/box/kyes", []),
        ("instances/0/delivery/ordering", "some"),
        ("instances", {"id": 1}),
        ("relay", []),
    ],
)
def test_refuses(validator, path: str, value: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(changed(path, value))
