"""Pages: reached, linked, complete, and with commands that work as they are written."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from conftest import BIN, PAGES, ROOT, Block, anchors, blocks, help_of, links, name, prose, tools

BY_NAME = {name(page): page for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_anchors_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{name(page)}: no heading for {link}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached:
            continue
        reached.add(page)
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists():
                ahead.append(target)
    missing = [name(p) for p in PAGES if p not in reached]
    assert not missing, f"not reached from README.md: {missing}"


def test_every_metric_is_described() -> None:
    """Those of the rules and dashboards are a test of the rules tier; here: those of the source."""
    (source,) = ROOT.glob("common/**/metrics_list.hpp")
    rows = re.findall(
        r"^\s*(?:COUNTER|COUNTER_BY|GAUGE|HISTOGRAM|SCRAPED)\((\w+),", source.read_text(), re.M
    )
    page = (ROOT / "docs/metrics.md").read_text("utf-8")
    assert len(rows) > 40
    assert not [row for row in rows if f"`eventrelay_{row}`" not in page]


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    text = (ROOT / "helm/files/rules/eventrelay.yaml").read_text("utf-8")
    alerts = set(re.findall(r"^  - alert: (\w+)", text, re.M))
    page = (ROOT / "docs/runbooks.md").read_text("utf-8")
    sections = set(re.findall(r"^## (\w+)$", page, re.M))
    assert len(alerts) > 20 and alerts == sections


def test_every_chart_value_is_in_the_chart_s_readme() -> None:
    schema = json.loads((ROOT / "helm/values.schema.json").read_text("utf-8"))
    page = (ROOT / "helm/README.md").read_text("utf-8")
    for value in set(schema["properties"]) - {"global"}:
        assert re.search(rf"^\| `{value}[`.]", page, re.M), value


def test_every_configuration_key_is_described() -> None:
    """Sections and their keys, as the chart's schema has them."""
    schema = json.loads((ROOT / "helm/config.schema.json").read_text("utf-8"))
    page = (ROOT / "docs/configuration.md").read_text("utf-8")
    for section, node in schema["properties"].items():
        for key in node.get("properties", {}):
            path = f"{section}.{key}"
            assert re.search(rf"^{re.escape(path)}\b", page, re.M), path


def test_the_chart_has_the_schema_of_the_program() -> None:
    answer = subprocess.run(
        [BIN / "eventrelay", "config-schema", "--draft7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    shipped = json.loads((ROOT / "helm/config.schema.json").read_text("utf-8"))
    assert (
        json.loads(answer.stdout) == shipped
    ), "run helm/generate/generate --schema-of build/release/bin/eventrelay"


def commands() -> list[tuple[Block, str]]:
    """Every line of a block that calls the command line tool, with what continues it."""
    found = []
    for page in PAGES:
        for block in blocks(page):
            if block.info.split()[:1] not in ([], ["sh"], ["bash"]):
                continue
            for line in block.text.replace("\\\n", " ").splitlines():
                if re.match(r"\s*(\$ )?(! )?([A-Z_]+=\S* )*(\S*/)?eventrelay [a-z]", line):
                    found.append((block, line))
    return found


def subcommands(text: str) -> set[str]:
    part = re.split(r"^(?:SUBCOMMANDS|Subcommands):", text, flags=re.M)[-1]
    return set(re.findall(r"^  ([a-z][\w-]*)", part, re.M))


def problem(line: str) -> str:
    """What the help of the command does not know of a line; empty where it knows all."""
    line = line.split(" #")[0]
    words = shlex.split(re.split(r"(?<!\|) (?:\||>|&&|&|<<?)(?: |$)|\s>\S", line)[0].strip(" $!"))
    while re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    words.pop(0)
    path: list[str] = []
    while words and words[0] in subcommands(help_of(*path)):
        path.append(words.pop(0))
    if not path:
        return f"no command {words[0]}"
    text = help_of(*path)
    for word in words:
        if re.match(r"--?[a-z]", word):
            flag = word.split("=")[0]
            if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text):
                return f"eventrelay {' '.join(path)} has no {flag}"
    return ""


def test_every_eventrelay_line_is_known_to_its_help() -> None:
    lines = commands()
    assert len(lines) > 30
    wrong = []
    for block, line in lines:
        if text := problem(line):
            wrong.append(f"{name(block.page)}:{block.line}: {text}: {line.strip()}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("eventrelay tail dead -c x.yaml --from-beginning", ""),
        ("eventrelay tails dead", "no command tails"),
        ("eventrelay tail dead --from-begining", "eventrelay tail has no --from-begining"),
        ("A=b eventrelay topics check -c x | grep y --flag", ""),
    ],
)
def test_the_judge_of_lines_finds_what_is_wrong(line: str, finding: str) -> None:
    assert problem(line) == finding


def test_inline_commands_exist() -> None:
    wrong = []
    for page in PAGES:
        for command in re.findall(r"`eventrelay ([a-z][\w-]*)", prose(page)):
            if command not in subcommands(help_of()):
                wrong.append(f"{name(page)}: eventrelay {command}")
    assert not wrong, wrong


RUN = [page for page in PAGES if any(b.info == "sh test" for b in blocks(page))]


def test_there_are_blocks_to_run() -> None:
    assert {name(page) for page in RUN} >= {
        "docs/kubernetes.md",
        "docs/operations.md",
        "docs/security.md",
    }


@pytest.mark.parametrize("major", ["3", "4"])
@pytest.mark.parametrize("page", RUN, ids=name)
def test_blocks_run_in_order_in_a_fresh_directory(page: Path, major: str, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    place = tmp_path / "place"
    programs.mkdir()
    place.mkdir()
    for program in ("eventrelay", "eventrelay-ingest", "eventrelay-relay"):
        (programs / program).symlink_to(BIN / program)
    (programs / "helm").symlink_to(tools() / f"helm{major}")
    (programs / "promtool").symlink_to(ROOT / ".ci/promtool")
    (place / "helm").symlink_to(ROOT / "helm")
    environment = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": os.environ.get("HOME", str(tmp_path)),
        "LANG": "C.UTF-8",
    }
    for block in blocks(page):
        if block.info != "sh test":
            continue
        answer = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (
            answer.returncode == 0
        ), f"{name(page)}:{block.line}: {answer.returncode}\n{answer.stdout}{answer.stderr}"
