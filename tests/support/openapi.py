"""Answers of the control API against the document that it serves under /openapi.json."""

from __future__ import annotations

import json
import re

import jsonschema


class OpenApi:
    """One served document. check() asserts that an answer is what its operation says."""

    def __init__(self, text: bytes | str):
        self.document = json.loads(text)
        assert self.document["openapi"].startswith("3.1.")
        # Literal segments before parameters, as a router decides.
        self.paths = sorted(self.document["paths"], key=lambda path: path.count("{"))
        self.checked: set[tuple[str, str, int]] = set()

    def path_of(self, target: str) -> str | None:
        path = target.split("?", 1)[0]
        for template in self.paths:
            pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path):
                return template
        return None

    def schema(self, name: str) -> dict:
        return {
            "$ref": f"#/components/schemas/{name}",
            "components": self.document["components"],
        }

    def check(self, method: str, target: str, answer) -> None:
        """`target` is below the base path. What the document does not have is an error answer."""
        template = self.path_of(target)
        operation = self.document["paths"].get(template or "", {}).get(method.lower())
        if operation is None:
            assert answer.status >= 400, f"{method} {target} is not in the document: {answer}"
            self.validate(self.schema("Error"), method, target, answer)
            return
        responses = operation["responses"]
        told = responses.get(str(answer.status), responses["default"])
        schema = dict(told["content"]["application/json"]["schema"])
        schema["components"] = self.document["components"]
        self.validate(schema, method, target, answer)
        self.checked.add((method, template or "", answer.status))

    @staticmethod
    def validate(schema: dict, method: str, target: str, answer) -> None:
        assert answer.headers.get("Content-Type", "").startswith("application/json"), answer
        try:
            jsonschema.Draft202012Validator(schema).validate(answer.json)
        except jsonschema.ValidationError as error:
            raise AssertionError(f"{method} {target}: {answer}: {error.message}") from error
