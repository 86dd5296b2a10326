"""Lists that must agree: CMake with folders, pages with CMake, keys and metrics with use."""

from __future__ import annotations

import re
from posixpath import normpath
from typing import Iterator

import check_includes
import exceptions
from tree import CODE, PRODUCT, File, Tree, check

LISTED = (*PRODUCT, "bench", "tests")
PAGED = (*PRODUCT, "bench")  # folders whose README.md is written from their list
CONFIG = "common/config/config.hpp"
WRITTEN_BY = (
    "`tests/repo/write_tables` writes this page from the CMake list, the first sentence of\n"
    "each header and the includes; a test compares it."
)
METRICS = "common/observe/metrics_list.hpp"


def code_of(list_file: File) -> str:
    return re.sub(r"#[^\n]*", "", list_file.text)


def folders(tree: Tree, tops: tuple[str, ...]) -> list[str]:
    """Folders with a CMake list, each before the folders in it, siblings as the list adds them."""
    found: list[str] = []

    def visit(folder: str) -> None:
        file = tree.find(f"{folder}/CMakeLists.txt")
        if file is None or folder in found:
            return
        found.append(folder)
        for name in re.findall(r"add_subdirectory\(([\w/]+)", code_of(file)):
            visit(f"{folder}/{name}")

    for top in tops:
        visit(top)
    return found


def listed(tree: Tree, folder: str) -> list[str]:
    """Files that the CMake list of a folder names, in its order."""
    file = tree.find(f"{folder}/CMakeLists.txt")
    return re.findall(r"(?<![\w./-])[\w./-]+\.[ch]pp\b", code_of(file)) if file else []


def lists_its_headers(folder: str) -> bool:
    """Only a library lists its headers; programs and tests list what they compile."""
    return folder.split("/")[0] in PRODUCT


def there(tree: Tree, folder: str) -> list[str]:
    """Sources in a folder and below it, down to the next folder with a list of its own."""
    owned = []
    for file in tree.sources(folder.split("/")[0]):
        above = file.folder
        while above and tree.find(f"{above}/CMakeLists.txt") is None:
            above = above.rsplit("/", 1)[0] if "/" in above else ""
        if above == folder:
            owned.append(file.name[len(folder) + 1 :])
    return owned


def _made_of_a_pattern(tree: Tree, folder: str) -> list[str]:
    """Names such as limits/${name}.cpp, filled with each word the function is called with."""
    text = code_of(tree.find(f"{folder}/CMakeLists.txt"))
    names = []
    for function, body in re.findall(r"function\((\w+) name\)(.*?)endfunction", text, flags=re.S):
        words = re.findall(rf"{function}\((\w+)\)", text)
        for pattern in re.findall(r"[\w./-]*\$\{name\}\.cpp", body):
            names.extend(pattern.replace("${name}", word) for word in words)
    return names


@check
def cmake_lists_name_every_file(tree: Tree) -> Iterator[str]:
    root = tree.find("CMakeLists.txt")
    for folder in folders(tree, LISTED):
        names = {*listed(tree, folder), *_made_of_a_pattern(tree, folder)}
        found = set(there(tree, folder))
        for name in sorted(found - names):
            if root is not None and f"{folder}/{name}" in root.text:
                continue
            if name.endswith(".cpp") or lists_its_headers(folder):
                yield f"{folder}/CMakeLists.txt: does not list {name}"
        for name in sorted(names - found):
            if tree.find(normpath(f"{folder}/{name}")) is None:
                yield f"{folder}/CMakeLists.txt: lists {name}, which is not there"


@check
def cmake_lists_are_reached(tree: Tree) -> Iterator[str]:
    """A list that no other list adds is never built, and its files are checked by nobody."""
    reached = set(folders(tree, LISTED))
    # tests/CMakeLists.txt adds its folders by path.
    for file in tree.files:
        if file.name.endswith("/CMakeLists.txt") and file.name.split("/")[0] in CODE:
            if file.folder not in reached:
                yield f"{file.name}: no list adds this folder"


@check
def cmake_lists_keep_one_order(tree: Tree) -> Iterator[str]:
    for folder in folders(tree, PRODUCT):
        names = listed(tree, folder)
        sources = [n.rsplit(".", 1)[0] for n in names if n.endswith(".cpp") and n != "main.cpp"]
        headers = [n.rsplit(".", 1)[0] for n in names if n.endswith(".hpp")]
        if [s for s in headers if s in sources] != [s for s in sources if s in headers]:
            yield f"{folder}/CMakeLists.txt: sources and headers are in different orders"


@check
def folders_follow_what_they_build_on(tree: Tree) -> Iterator[str]:
    known = check_includes.libraries(tree)
    order = {folder: place for place, folder in enumerate(_added(tree))}
    for folder, links in known.values():
        for link in links:
            other = known[link][0] if link in known else ""
            # A top folder's own library stands behind all folders in it.
            if other in order and folder in order and order[other] > order[folder]:
                yield f"{folder}/CMakeLists.txt: is added before {other}, which it builds on"


def _added(tree: Tree) -> list[str]:
    """Folders in the order in which their libraries are made: those in a folder before its own."""
    order: list[str] = []

    def visit(folder: str) -> None:
        file = tree.find(f"{folder}/CMakeLists.txt")
        if file is None or folder in order:
            return
        for name in re.findall(r"add_subdirectory\(([\w/]+)", code_of(file)):
            visit(f"{folder}/{name}")
        order.append(folder)

    for top in PRODUCT:
        visit(top)
    return order


def stems(tree: Tree, folder: str) -> list[str]:
    """Stems of a folder in flow order: sources and headers of the CMake list merged."""
    names = [n for n in listed(tree, folder) if tree.find(f"{folder}/{n}")]
    names += _made_of_a_pattern(tree, folder)
    order: list[str] = []
    sources = [n.rsplit(".", 1)[0] for n in names if n.endswith(".cpp")]
    for stem in [n.rsplit(".", 1)[0] for n in names if n.endswith(".hpp")]:
        if stem not in order:
            order.append(stem)
    for index, stem in enumerate(sources):
        if stem not in order:
            before = next((s for s in reversed(sources[:index]) if s in order), None)
            order.insert(order.index(before) + 1 if before else 0, stem)
    return sorted(order, key=lambda stem: stem != "main")


def first_sentence(tree: Tree, folder: str, stem: str) -> str:
    file = tree.find(f"{folder}/{stem}.hpp") or tree.find(f"{folder}/{stem}.cpp")
    text = " ".join(file.first_comment) if file else ""
    text = re.split(r"(?<=[.])\s|\s\s|\s(?=Why:|Thread:|Owner:)", text, maxsplit=1)[0]
    return text.strip().replace("|", "\\|")


def purpose(tree: Tree, folder: str) -> str:
    """The first comment of a folder's list, as one line."""
    file = tree.find(f"{folder}/CMakeLists.txt")
    words = []
    for line in file.lines if file else []:
        if not line.startswith("#"):
            break
        words.append(line.removeprefix("#").strip())
    return " ".join(words)


def page(tree: Tree, folder: str) -> str:
    """README.md of a folder: what it is, its folders, its files, and what it builds on."""
    text = [f"# {folder}", "", purpose(tree, folder), ""]
    below = [f for f in folders(tree, (folder,)) if f != folder]
    if below:
        text += ["Folders, each before those that build on it:", "", "| folder | what it is |"]
        text += ["|---|---|"]
        for each in below:
            name = each[len(folder) + 1 :]
            text.append(f"| [{name}]({name}/README.md) | {purpose(tree, each)} |")
        text.append("")
    if names := stems(tree, folder):
        text += ["| file | what it is |", "|---|---|"]
        text += [f"| `{stem}` | {first_sentence(tree, folder, stem)} |" for stem in names]
        text.append("")
    arrows = check_includes.arrows(tree).get(folder, set())
    if arrows:
        text += ["Includes from " + ", ".join(f"`{each}`" for each in sorted(arrows)) + ".", ""]
    return "\n".join([*text, WRITTEN_BY]) + "\n"


DRAWING = re.compile(r"(<!-- folders -->\n```\n).*?(```\n<!-- end -->)", re.S)


def with_drawing(tree: Tree, text: str) -> str:
    return DRAWING.sub(lambda m: f"{m[1]}{check_includes.drawing(tree)}{m[2]}", text)


def pages(tree: Tree) -> dict[str, str]:
    """Every page, or part of one, that is written from the tree."""
    texts = {f"{folder}/README.md": page(tree, folder) for folder in folders(tree, PAGED)}
    if (architecture := tree.find("ARCHITECTURE.md")) is not None:
        texts["ARCHITECTURE.md"] = with_drawing(tree, architecture.text)
    return texts


@check
def pages_match_the_tree(tree: Tree) -> Iterator[str]:
    for name, text in pages(tree).items():
        file = tree.find(name)
        if file is None or file.text != text:
            yield f"{name}: is not what the tree says; tests/repo/write_tables writes it"
    architecture = tree.find("ARCHITECTURE.md")
    if architecture is not None and not DRAWING.search(architecture.text):
        yield "ARCHITECTURE.md: has no drawing of the folders"


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
    config = tree.find(CONFIG)
    if config is None:
        if (tree.root / ".git").exists():
            yield f"{CONFIG}: is not there, so no key is looked at"
        return
    field = re.compile(r"^  [\w:<>, ]+? (\w+)(?:\{[^;]*\}| = [^;]+)?;", re.M)
    names = sorted(set(field.findall("\n".join(config.code))))
    for name in names:
        used = _used(tree, name, ("common/config/",), r"(?:\.|->|::)")
        if name in exceptions.UNUSED_FIELDS:
            if used and (tree.root / ".git").exists():
                yield f"{CONFIG}: {name} is used; take it out of UNUSED_FIELDS"
        elif not used:
            yield f"{CONFIG}: nothing reads {name}"


@check
def every_metric_is_used(tree: Tree) -> Iterator[str]:
    metrics = tree.find(METRICS)
    if metrics is None:
        if (tree.root / ".git").exists():
            yield f"{METRICS}: is not there, so no metric is looked at"
        return
    rows = re.compile(r"^\s*(?:COUNTER|COUNTER_BY|GAUGE|HISTOGRAM)\((\w+),", re.M)
    for name in rows.findall(metrics.text):
        used = _used(tree, name, ("common/observe/metrics_list",))
        if name in exceptions.UNUSED_METRICS:
            if used:
                yield f"{METRICS}: {name} is used; take it out of UNUSED_METRICS"
        elif not used:
            yield f"{METRICS}: nothing sets {name}"
