"""Lists that must agree: CMake with the folders, README with CMake, keys and metrics with use."""

from __future__ import annotations

import re
from typing import Iterator

import exceptions
from tree import PRODUCT, Tree, check

# The stages in the order in which an event passes them; what is listed in CMake follows it.
FLOW = {
    "ingest": "main shard listener session gate admission routes receive verify handshake "
    "normalizer producer control console",
    "relay": "main shard consumer scheduler budget circuit_breaker format signer endpoint_guard "
    "delivery http_pool deliverer retry delay_topics dead_letter cursors sweeper attempts "
    "offset_ledger committer",
}


def listed(tree: Tree, folder: str) -> list[str]:
    """Files that the CMake list of a folder names, in its order."""
    file = tree.find(f"{folder}/CMakeLists.txt")
    if file is None:
        return []
    text = re.sub(r"#[^\n]*", "", file.text)
    return re.findall(r"(?<![\w./-])[\w./-]+\.[ch]pp\b", text)


def stems(tree: Tree, folder: str) -> list[str]:
    """Stems of a folder in flow order: sources and headers of the CMake list merged."""
    names = listed(tree, folder)
    order: list[str] = []
    sources = [n.rsplit(".", 1)[0] for n in names if n.endswith(".cpp")]
    headers = [n.rsplit(".", 1)[0] for n in names if n.endswith(".hpp")]
    for stem in headers:
        if stem not in order:
            order.append(stem)
    for index, stem in enumerate(sources):
        if stem not in order:
            before = next((s for s in reversed(sources[:index]) if s in order), None)
            order.insert(order.index(before) + 1 if before else 0, stem)
    return sorted(order, key=lambda stem: stem != "main")


@check
def cmake_lists_name_every_file(tree: Tree) -> Iterator[str]:
    for folder in PRODUCT:
        if tree.find(f"{folder}/CMakeLists.txt") is None:
            continue
        names = listed(tree, folder)
        there = {f.name[len(folder) + 1 :] for f in tree.sources(folder)}
        for name in sorted(there - set(names)):
            yield f"{folder}/CMakeLists.txt: does not list {name}"
        for name in sorted(set(names) - there):
            yield f"{folder}/CMakeLists.txt: lists {name}, which is not there"


@check
def cmake_lists_are_in_flow_order(tree: Tree) -> Iterator[str]:
    for folder in PRODUCT:
        names = listed(tree, folder)
        sources = [n.rsplit(".", 1)[0] for n in names if n.endswith(".cpp") and n != "main.cpp"]
        headers = [n.rsplit(".", 1)[0] for n in names if n.endswith(".hpp")]
        common = [s for s in headers if s in sources]
        if common != [s for s in sources if s in headers]:
            yield f"{folder}/CMakeLists.txt: sources and headers are in different orders"
        stages = FLOW.get(folder, "").split()
        # A name in both lists (`verify/box_v2`, `shard`) belongs to the stage it begins with.
        for kind in (sources, headers):
            known = [s.split("/")[0] for s in kind if s.split("/")[0] in stages]
            for before, after in zip(known, known[1:]):
                if stages.index(before) > stages.index(after):
                    yield f"{folder}/CMakeLists.txt: {after} comes before {before} in the flow"


def first_sentence(tree: Tree, folder: str, stem: str) -> str:
    file = tree.find(f"{folder}/{stem}.hpp") or tree.find(f"{folder}/{stem}.cpp")
    text = " ".join(file.first_comment) if file else ""
    return re.split(r"(?<=[.])\s|\s\s|\s(?=Why:|Thread:|Owner:)", text, maxsplit=1)[0].strip()


def table(tree: Tree, folder: str) -> str:
    """The README's table of a folder, made from the CMake list and the header comments."""
    rows = ["| file | what it is |", "|---|---|"]
    for stem in stems(tree, folder):
        sentence = first_sentence(tree, folder, stem).replace("|", "\\|")
        rows.append(f"| `{stem}` | {sentence} |")
    return "\n".join(rows)


def with_tables(tree: Tree, text: str) -> str:
    for folder in PRODUCT:
        text = re.sub(
            rf"(<!-- files of {folder} -->\n).*?(<!-- end -->)",
            lambda m, f=folder: f"{m.group(1)}{table(tree, f)}\n{m.group(2)}",
            text,
            flags=re.S,
        )
    return text


@check
def readme_tables_match_the_tree(tree: Tree) -> Iterator[str]:
    readme = tree.find("README.md")
    if readme is None:
        return
    for folder in PRODUCT:
        if f"<!-- files of {folder} -->" not in readme.text:
            yield f"README.md: has no table of {folder}"
    if with_tables(tree, readme.text) != readme.text:
        yield "README.md: a table of files is out of date; tests/repo/write_tables writes it"


def _used(tree: Tree, word: str, apart: tuple[str, ...], before: str = "") -> bool:
    pattern = re.compile(rf"{before}\b{word}\b")
    return any(
        pattern.search(line)
        for file in tree.sources(*PRODUCT)
        if not file.name.startswith(apart)
        for line in file.code
    )


@check
def every_key_is_used(tree: Tree) -> Iterator[str]:
    config = tree.find("common/config.hpp")
    if config is None:
        return
    field = re.compile(r"^  [\w:<>, ]+? (\w+)(?:\{[^;]*\}| = [^;]+)?;", re.M)
    names = sorted(set(field.findall("\n".join(config.code))))
    for name in names:
        used = _used(tree, name, ("common/config",), r"(?:\.|->|::)")
        if name in exceptions.UNUSED_FIELDS:
            if used and (tree.root / ".git").exists():
                yield f"common/config.hpp: {name} is used; take it out of UNUSED_FIELDS"
        elif not used:
            yield f"common/config.hpp: nothing reads {name}"


@check
def every_metric_is_used(tree: Tree) -> Iterator[str]:
    metrics = tree.find("common/metrics_list.hpp")
    if metrics is None:
        return
    rows = re.compile(r"^\s*(?:COUNTER|COUNTER_BY|GAUGE|HISTOGRAM)\((\w+),", re.M)
    for name in rows.findall(metrics.text):
        used = _used(tree, name, ("common/metrics_list",))
        if name in exceptions.UNUSED_METRICS:
            if used:
                yield f"common/metrics_list.hpp: {name} is used; take it out of UNUSED_METRICS"
        elif not used:
            yield f"common/metrics_list.hpp: nothing sets {name}"
