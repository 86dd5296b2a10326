"""The table of values in helm/README.md, from the comments of values.yaml."""

from __future__ import annotations

import json
import re
from typing import Any, Iterator

import yaml


def described(text: str) -> dict[str, str]:
    """Path of each key -> the comment above it, which begins with that path."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        if match := re.match(r" *# (.*)", line):
            comment.append(match.group(1))
            continue
        if match := re.match(r"( *)([A-Za-z][\w]*):", line):
            indent = len(match.group(1))
            path = [p for p in path if p[0] < indent] + [(indent, match.group(2))]
            name = ".".join(p[1] for p in path)
            if comment and re.match(rf"{re.escape(name)}\b", comment[0]):
                words = " ".join(comment)
                found[name] = words
        comment = []
    return found


def leaves(value: Any, path: str, known: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Keys as they are described: a map that has a description of its own is one row."""
    if isinstance(value, dict) and path not in known:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key, known)
    else:
        yield path, value


def table(values_yaml: str) -> str:
    known = described(values_yaml)
    rows = ["| value | default | |", "|---|---|---|"]
    for path, value in leaves(yaml.safe_load(values_yaml), "", known):
        if path not in known:
            raise SystemExit(f"generate: values.yaml: {path} has no comment that begins with it")
        sentence = re.sub(rf"^{re.escape(path)}(\[\]\.\w+)?[;,]? ?", "", known[path])
        shown = json.dumps(value).replace("|", "\\|")
        rows.append(f"| `{path}` | `{shown}` | {sentence.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def between(page: str, mark: str, content: str) -> str:
    """The page with what stands between `<!-- mark -->` and `<!-- end -->` replaced."""
    pattern = rf"(<!-- {re.escape(mark)} -->\n).*?(<!-- end -->)"
    if not re.search(pattern, page, re.S):
        raise SystemExit(f"generate: no place marked {mark}")
    return re.sub(pattern, lambda m: m.group(1) + content + m.group(2), page, flags=re.S)
