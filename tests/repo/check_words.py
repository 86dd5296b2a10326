"""Words that do not belong into the tree or its history, and scripts that stop at an error."""

from __future__ import annotations

import re
from posixpath import normpath
from typing import Iterator

from tree import CODE, File, Tree, check

WORD = re.compile(r"\w+")

# Hosts of package registries (put together here so that this file passes too).
HOSTS = ["repo1.maven." + "org", "repo.maven.apache." + "org", "registry.npmjs." + "org",
         "files.pythonhosted." + "org", "pypi." + "org", "proxy.golang." + "org",
         "static.crates." + "io", "deb.debian." + "org", "index.crates." + "io"]
# Paths that exist on the machine of one developer only.
MACHINE_PATH = re.compile(r"(?<![\w.}/-])/(work|home/\w+|Users|workspace|mnt)/")
SUBJECT = re.compile(r"[a-z][a-z0-9./_-]*(, [a-z0-9./_-]+)*: \S")
SUBJECT_MAX = 72
# A few characters too long and already built upon when the check came.
SUBJECTS_EXCUSED = (
    "house: folders, presets, and the interfaces",
    "common: budget for a broker that forgets",
    "ingest: signature schemes as one table",
    "common: headers of shard loop",
    "kafka: component tests on the embedded broker",
    "ingest: tests of gate, routes, chunked bodies",
    "config: Kafka properties by line",
    "ingest: receive(): route, verify, normalise",
    "scoreboard: latency of the proxy delays each piece by itself",
    "retry budget: a retry that is delivered costs nothing",
    "tests: the bench tier runs the micro-benchmarks",
    "bench: an argument list is allocated once",
)
TEXT = (".cpp", ".hpp", ".py", ".md", ".txt", ".json", ".yaml", ".yml", ".xml", ".supp")


@check
def words_of_other_places_are_absent(tree: Tree) -> Iterator[str]:
    for file in tree.files:
        if "." in file.name.split("/")[-1][1:] and not file.name.endswith(TEXT):
            continue
        for number, line in enumerate(file.lines, 1):
            for host in HOSTS:
                if host in line:
                    yield f"{file.name}:{number}: names the registry {host}"
            if match := MACHINE_PATH.search(line):
                yield f"{file.name}:{number}: {match.group(0)} is a path of one machine"


@check
def named_pages_exist(tree: Tree) -> Iterator[str]:
    """A Markdown page that a comment or a page names is in the tree."""
    there = {file.name.split("/")[-1] for file in tree.files}
    for file in tree.files:
        if not file.name.endswith(TEXT) or file.name.startswith("tests/repo/"):
            continue
        for number, line in enumerate(file.lines, 1):
            for name in re.findall(r"(?<![\w/.:-])[\w/-]*?([\w-]+\.md)\b", line):
                if name not in there and "github.com" not in line and "://" not in line:
                    yield f"{file.name}:{number}: names {name}, which is not in the tree"


def links(file: File) -> Iterator[tuple[int, str]]:
    """Targets of the links of a page that lead into the tree, outside of blocks."""
    block = False
    for number, line in enumerate(file.lines, 1):
        block ^= line.startswith("```")
        if not block:
            for target in re.findall(r"\]\(([^()\s#]+)[^()]*\)", line):
                if "://" not in target:
                    yield number, normpath(f"{file.folder}/{target}" if file.folder else target)


@check
def links_lead_somewhere(tree: Tree) -> Iterator[str]:
    names = {file.name for file in tree.files}
    for file in tree.files:
        if file.name.endswith(".md"):
            for number, target in links(file):
                if target not in names and not any(n.startswith(target + "/") for n in names):
                    yield f"{file.name}:{number}: leads to {target}, which is not in the tree"


@check
def pages_are_linked_from_the_readme(tree: Tree) -> Iterator[str]:
    readme = tree.find("README.md")
    linked = {target for _, target in links(readme)} if readme else set()
    for file in tree.files:
        if re.fullmatch(r"docs/[^/]+\.md", file.name) and file.name not in linked:
            yield f"README.md: does not link {file.name}"


@check
def glossary_names_what_there_is(tree: Tree) -> Iterator[str]:
    """A name in the code's own spelling is a type or function that the code has."""
    glossary = tree.find("docs/glossary.md")
    if glossary is None:
        return
    known = {word for file in tree.sources() for line in file.code for word in WORD.findall(line)}
    for number, line in enumerate(glossary.lines, 1):
        if match := re.match(r"\| ([^|]+) \|", line):
            for word in re.findall(r"\b(?:[A-Z][a-z]+(?:[A-Z][a-z]+)+|[a-z]+_[a-z_]+)\b", match[1]):
                if word not in known:
                    yield f"{glossary.name}:{number}: no code has the name {word}"


@check
def named_tests_exist(tree: Tree) -> Iterator[str]:
    """A test that a page names in backquotes is there: `Suite.Case`, `test_of_a_thing`."""
    known = set()
    for file in tree.sources("tests", ends=(".cpp", ".hpp", ".py")):
        known |= {f"{s}.{c}" for s, c in re.findall(r"TEST\w*\(\s*(\w+),\s*(\w+)\)", file.text)}
        known |= set(re.findall(r"def (test_\w+)", file.text))
    for file in tree.files:
        if file.name.endswith(".md"):
            for number, line in enumerate(file.lines, 1):
                for name in re.findall(r"`([A-Z]\w+\.[A-Z]\w+|test_\w+)`", line):
                    if name not in known and name != "Suite.Case":
                        yield f"{file.name}:{number}: names the test {name}, which is not there"


@check
def named_files_exist(tree: Tree) -> Iterator[str]:
    """A source that a page or a comment names by its path is there, from the root or beside it."""
    names = {file.name for file in tree.files}
    pattern = re.compile(rf"(?<![\w./-])((?:{'|'.join(CODE)})/[\w/.-]+\.(?:[ch]pp|py))\b")
    for file in tree.files:
        if not file.name.endswith(TEXT) or file.name.startswith("tests/repo/"):
            continue
        for number, line in enumerate(file.lines, 1):
            for name in pattern.findall(line):
                there = name in names or f"{file.folder}/{name}" in names
                if not there and "#include" not in line:
                    yield f"{file.name}:{number}: names {name}, which is not in the tree"


@check
def commit_subjects_are_short(tree: Tree) -> Iterator[str]:
    if not (tree.root / ".git").exists():
        return
    for line in tree.git("log", "-50", "--no-merges", "--format=%h %s").splitlines():
        commit, subject = line.split(" ", 1)
        if subject.startswith(SUBJECTS_EXCUSED):
            continue
        if len(subject) > SUBJECT_MAX:
            yield f"commit {commit}: subject of {len(subject)} characters, at most {SUBJECT_MAX}"
        if not SUBJECT.match(subject):
            yield f"commit {commit}: subject is not `area: what`: {subject}"


@check
def scripts_stop_at_an_error(tree: Tree) -> Iterator[str]:
    for file in tree.files:
        if file.lines[:1] and re.match(r"#!.*\b(ba)?sh\b", file.lines[0]):
            if "set -euo pipefail" not in file.text:
                yield f"{file.name}:1: a script begins with `set -euo pipefail`"
