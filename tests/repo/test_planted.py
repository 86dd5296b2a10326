"""Each check finds a planted breach, and leaves the sound twin of it alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import check_code
import check_includes
import check_lists
import check_words
import pytest
from tree import CHECKS, Tree

assert all((check_code, check_includes, check_lists, check_words))

HEAD = "// What it is. Thread: any.\n#pragma once\n"
PAGE_A = (
    "# relay\n\nThe relay.\n\n"
    "| file | what it is |\n|---|---|\n| `a` | First, of two lines. |\n\n"
    f"{check_lists.WRITTEN_BY}\n"
)


def library(name: str, *files: str, link: str = "") -> str:
    """A CMake list of one library."""
    listed = "".join(f"    {file}\n" for file in files)
    return f"eventrelay_library({name}\n  SOURCES\n{listed}  LINK\n    {link})\n"


# Two folders of the relay; the second may include the first.
TWO = {
    "relay/CMakeLists.txt": "add_subdirectory(log)\nadd_subdirectory(park)\n",
    "relay/log/CMakeLists.txt": library("relay_log", "a.cpp"),
    "relay/park/CMakeLists.txt": library("relay_park", "b.cpp", link="eventrelay::relay_log"),
    "relay/log/a.hpp": "",
    "relay/park/b.hpp": "",
}
# check: [(breach, sound twin)]; a tree is {file: text}.
PLANTED: dict[str, list[tuple[dict[str, str], dict[str, str]]]] = {
    "includes_follow_the_flow": [
        (
            {"ingest/a.cpp": '#include "relay/b.hpp"\n'},
            {"ingest/a.cpp": '#include "common/b.hpp"\n'},
        ),
        ({"relay/a.hpp": '#include "ingest/b.hpp"\n'}, {"relay/a.hpp": '// #include "ingest/b"\n'}),
        ({"common/a.cpp": '#include "cli/b.hpp"\n'}, {"cli/a.cpp": '#include "cli/b.hpp"\n'}),
        ({"ingest/a.cpp": '#include "tests/b.hpp"\n'}, {"tests/a.cpp": '#include "relay/b.hpp"\n'}),
    ],
    "folders_include_what_they_link": [
        (
            TWO | {"relay/log/a.cpp": '#include "relay/park/b.hpp"\n'},
            TWO | {"relay/park/b.cpp": '#include "relay/log/a.hpp"\n'},
        ),
        (
            {
                "common/base/CMakeLists.txt": library("common_base"),
                "ingest/CMakeLists.txt": library("ingest"),
                "ingest/a.cpp": '#include "common/base/b.hpp"\n',
            },
            {  # what a linked library links may be included too
                "common/base/CMakeLists.txt": library("common_base"),
                "common/http/CMakeLists.txt": library(
                    "common_http", link="eventrelay::common_base"
                ),
                "ingest/CMakeLists.txt": library("ingest", link="eventrelay::common_http"),
                "ingest/a.cpp": '#include "common/base/b.hpp"\n',
            },
        ),
    ],
    "links_have_no_circle": [
        (
            TWO
            | {"relay/log/CMakeLists.txt": library("relay_log", link="eventrelay::relay_park")},
            TWO,
        ),
        (
            {"common/CMakeLists.txt": library("common", link="eventrelay::common")},
            {  # an alias of an interface library is no link
                "common/CMakeLists.txt": "add_library(eventrelay_common INTERFACE)\n"
                "add_library(eventrelay::common ALIAS eventrelay_common)\n"
                "target_link_libraries(eventrelay_common INTERFACE eventrelay::common_base)\n",
            },
        ),
    ],
    "includes_have_no_circle": [
        (
            TWO
            | {
                "relay/log/a.cpp": '#include "relay/park/b.hpp"\n',
                "relay/park/b.cpp": '#include "relay/log/a.hpp"\n',
            },
            TWO
            | {
                "relay/log/a.cpp": '#include "relay/log/a.hpp"\n',
                "relay/park/b.cpp": '#include "relay/log/a.hpp"\n',
            },
        ),
    ],
    "rules_name_what_is_there": [
        ({"rules": "", "common/base/event.hpp": ""}, {}),  # the rules name many more
    ],
    "third_parties_stay_behind_one_header": [
        (
            {"relay/a.cpp": "#include <librdkafka/rdkafka.h>\n"},
            {"common/kafka/a.cpp": "#include <librdkafka/rdkafka.h>\n"},
        ),
        (
            {"common/kafka/a.cpp": "#include <openssl/evp.h>\n"},
            {"common/base/crypto.cpp": "#include <openssl/evp.h>\n"},
        ),
        (
            {"ingest/normalizer.cpp": "#include <simdjson.h>\n"},
            {"common/text/json.cpp": "#include <simdjson.h>\n"},
        ),
        (
            {"relay/log/a.cpp": "#include <boost/beast/http.hpp>\n"},
            {"ingest/session.cpp": "#include <boost/beast/http.hpp>\n"},
        ),
    ],
    "policy_files_are_pure": [
        (
            {"relay/dispatch/retry.cpp": "#include <boost/asio/io_context.hpp>\n"},
            {"relay/http/deliverer.cpp": "#include <boost/asio/io_context.hpp>\n"},
        ),
        (
            {"relay/dispatch/scheduler.hpp": "auto t = monotonic_now();\n"},
            {"relay/dispatch/scheduler.hpp": "// now\n"},
        ),
        ({"ingest/gate.cpp": "std::random_device d;\n"}, {"ingest/gate.cpp": 'auto s = "rand";\n'}),
        ({"common/providers/stamp.cpp": "throw 1;\n"}, {"ingest/shard.cpp": "throw 1;\n"}),
        (
            {"relay/request/signer.cpp": '#include "common/observe/metrics.hpp"\n'},
            {"relay/request/signer.cpp": '#include "common/observe/metrics_list.hpp"\n'},
        ),
    ],
    "co_await_takes_only_names_and_calls": [
        ({"cli/a.cpp": "co_await f([p]{ g(); });\n"}, {"cli/a.cpp": "co_await f(make(p));\n"}),
        (
            {"cli/a.cpp": "co_await f([p](int) { g(); });\n"},
            {"cli/a.cpp": "co_await f([](int));\n"},
        ),
        (
            {"cli/a.cpp": "co_await f(\n    Options{a, b});\n"},
            {"cli/a.cpp": "Options o{a, b};\nco_await f(std::move(o));\n"},
        ),
        (
            {"cli/a.cpp": "auto x = co_await f(x, {1, 2});\n"},
            {"cli/a.cpp": "if (!co_await f(x)) {\n  g({1});\n}\n"},
        ),
    ],
    "banned_words_are_absent": [
        ({"cli/a.cpp": "asio::any_io_executor e;\n"}, {"cli/a.cpp": "// any_io_executor\n"}),
        ({"cli/a.cpp": "auto s = asio::make_strand(c);\n"}, {"cli/a.cpp": "auto stranded = 1;\n"}),
        ({"cli/a.cpp": "using namespace std;\n"}, {"cli/a.cpp": "using std::string;\n"}),
    ],
    "nobody_sleeps_or_reads_a_clock": [
        (
            {"relay/a.cpp": "auto t = std::chrono::steady_clock::now();\n"},
            {"common/base/clock.cpp": "auto t = std::chrono::steady_clock::now();\n"},
        ),
        (
            {"relay/log/a.cpp": "auto t = monotonic_now();\n"},
            {"relay/http/connection.cpp": "auto t = monotonic_now();\n"},
        ),
        (
            {"tests/unit/a.cpp": "std::this_thread::sleep_for(1s);\n"},
            {"tests/unit/a.cpp": "// sleep_for\n"},
        ),
        (
            {"tests/system/a.py": "time.sleep(1)\n"},
            {"tests/support/wait.py": "time.sleep(0.01)\n"},
        ),
    ],
    "headers_say_what_they_are": [
        ({"relay/a.hpp": "#pragma once\n"}, {"relay/a.hpp": HEAD}),
        ({"relay/a.hpp": "// What. No word.\n#pragma once\n"}, {"relay/a.hpp": HEAD}),
        ({"relay/a.hpp": HEAD.replace("#pragma once", "")}, {"relay/a.hpp": HEAD}),
        (
            {"cli/main.cpp": "#include <a>\n"},
            {"cli/a.cpp": "#include <a>\n", "cli/a.hpp": HEAD},
        ),
    ],
    "classes_say_their_thread": [
        (
            {"relay/a.hpp": HEAD + "\nclass A {\n};\n"},
            {"relay/a.hpp": HEAD + "\n// Does it. Thread: shard-local.\nclass A {\n};\n"},
        ),
        (
            {"relay/a.hpp": HEAD + "\n// Words.\nclass A {\n};\n"},
            {"relay/a.hpp": HEAD + "\nstruct A {\n};\nclass Later;\n"},
        ),
        (
            {"relay/a.hpp": HEAD + "\n// Words.\ntemplate <class T>\nclass A {\n};\n"},
            {"relay/a.hpp": HEAD + "\n// Thread: any.\ntemplate <class T>\nclass A {\n};\n"},
        ),
    ],
    "lines_fit_the_page": [
        ({"relay/a.cpp": "x" * 101}, {"relay/a.cpp": "x" * 100}),
        ({"tests/a.py": "x" * 101}, {"tests/a.py": "x" * 100}),
    ],
    "cmake_lists_name_every_file": [
        (
            {"relay/CMakeLists.txt": "SOURCES\n a.cpp\n", "relay/a.cpp": "", "relay/b.cpp": ""},
            {"relay/CMakeLists.txt": "SOURCES\n a.cpp\n", "relay/a.cpp": ""},
        ),
        (
            {"relay/CMakeLists.txt": "SOURCES\n a.cpp x/b.cpp\n", "relay/a.cpp": ""},
            {"relay/CMakeLists.txt": "SOURCES\n a.cpp # b.cpp\n", "relay/a.cpp": ""},
        ),
        (  # a folder in a folder has a list of its own
            TWO | {"relay/log/a.cpp": "", "relay/log/c.cpp": "", "relay/park/b.cpp": ""},
            {
                "relay/CMakeLists.txt": "a.cpp\nadd_subdirectory(log)\n",
                "relay/a.cpp": "",
                "relay/log/CMakeLists.txt": "b.cpp b.hpp\n",
                "relay/log/b.cpp": "",
                "relay/log/b.hpp": "",
            },
        ),
        (  # a library names its headers, a test program what it compiles
            {"relay/CMakeLists.txt": "a.cpp\n", "relay/a.cpp": "", "relay/a.hpp": ""},
            {"tests/CMakeLists.txt": "a.cpp\n", "tests/a.cpp": "", "tests/a.hpp": ""},
        ),
        (
            {"tests/CMakeLists.txt": "", "tests/a.cpp": ""},
            {"tests/CMakeLists.txt": "../a.cpp\n", "a.cpp": ""},
        ),
        (
            {"bench/CMakeLists.txt": "", "bench/limits/one.cpp": ""},
            {
                "bench/CMakeLists.txt": "function(limit name)\n  limits/${name}.cpp\n"
                "endfunction()\nlimit(one)\n",
                "bench/limits/one.cpp": "",
            },
        ),
    ],
    "cmake_lists_are_reached": [
        ({"relay/CMakeLists.txt": "", "relay/log/CMakeLists.txt": ""}, TWO),
    ],
    "cmake_lists_keep_one_order": [
        (
            {"common/CMakeLists.txt": "a.cpp b.cpp b.hpp a.hpp\n"},
            {"common/CMakeLists.txt": "a.cpp b.cpp a.hpp b.hpp\n"},
        ),
        (
            TWO | {"relay/log/CMakeLists.txt": "a.cpp b.cpp b.hpp a.hpp\n"},
            TWO | {"relay/log/CMakeLists.txt": "a.cpp b.cpp b.hpp\n"},
        ),
    ],
    "folders_follow_what_they_build_on": [
        (
            TWO | {"relay/CMakeLists.txt": "add_subdirectory(park)\nadd_subdirectory(log)\n"},
            TWO,
        ),
    ],
    "pages_match_the_tree": [
        (
            {"relay/CMakeLists.txt": "# The relay.\na.cpp\n", "relay/a.cpp": "// It.\n"},
            {
                "relay/CMakeLists.txt": "# The relay.\na.cpp a.hpp\n",
                "relay/a.cpp": "",
                "relay/a.hpp": "// First, of two\n// lines. More.\n",
                "relay/README.md": PAGE_A,
            },
        ),
        (
            {
                "relay/CMakeLists.txt": "# The relay.\na.cpp a.hpp\n",
                "relay/a.cpp": "",
                "relay/a.hpp": "// Other words. More.\n",
                "relay/README.md": PAGE_A,
            },
            {},
        ),
        (
            {"ARCHITECTURE.md": "no drawing\n"},
            {"ARCHITECTURE.md": "<!-- folders -->\n```\n\n```\n<!-- end -->\n"},
        ),
    ],
    "every_key_is_used": [
        (
            {check_lists.CONFIG: "struct A {\n  int turn = 1;\n};\n", "relay/a.cpp": "// turn\n"},
            {check_lists.CONFIG: "struct A {\n  int turn = 1;\n};\n", "relay/a.cpp": "c.turn;\n"},
        ),
    ],
    "every_metric_is_used": [
        (
            {check_lists.METRICS: '  COUNTER(a_total, "A.")\n', "relay/a.cpp": "b_total;\n"},
            {check_lists.METRICS: '  COUNTER(a_total, "A.")\n', "relay/a.cpp": "a_total;\n"},
        ),
    ],
    "words_of_other_places_are_absent": [
        ({"a.md": "see registry.npmjs." + "org\n"}, {"a.md": "see the registry\n"}),
        ({"run": "cd /wo" + "rk/main\n"}, {"run": "cd /var/tmp\n"}),
        ({"a.cpp": "// /ho" + "me/ada/x\n"}, {"a.cpp": "// $HOME/x\n"}),
    ],
    "named_pages_exist": [
        (
            {"cli/a.cpp": "// see plan.md 3\n"},
            {"cli/a.cpp": "// see README.md 3\n", "README.md": ""},
        ),
    ],
    "links_lead_somewhere": [
        (
            {"docs/a.md": "[b](b.md)\n"},
            {"docs/a.md": "[b](../c/d.md#e) [x](http://x/y) [c](../c)\n", "c/d.md": ""},
        ),
        (
            {"a.md": "[b](/b.md)\n", "b.md": ""},
            {"a.md": "```\n[b](/b.md)\n```\n[b](b.md)", "b.md": ""},
        ),
    ],
    "pages_are_linked_from_the_readme": [
        (
            {"README.md": "docs/a.md\n", "docs/a.md": ""},
            {"README.md": "[a](docs/a.md)\n", "docs/a.md": "", "docs/b/c.md": ""},
        ),
    ],
    "glossary_names_what_there_is": [
        (
            {"docs/glossary.md": "| OtherThing | it |\n", "relay/a.hpp": "// OtherThing\n"},
            {"docs/glossary.md": "| OneThing, slot | it |\n", "relay/a.hpp": "class OneThing;\n"},
        ),
        (
            {"docs/glossary.md": "| do_it | it |\n", "relay/a.hpp": "int did_it();\n"},
            {"docs/glossary.md": "| did_it | DoIt |\n", "relay/a.hpp": "int did_it();\n"},
        ),
    ],
    "named_tests_exist": [
        (
            {"docs/a.md": "by `Ledger.Holds`\n", "tests/a.cpp": "TEST(Ledger, HoldsIt) {\n"},
            {"docs/a.md": "by `Ledger.HoldsIt`\n", "tests/a.cpp": "TEST(Ledger, HoldsIt) {\n"},
        ),
        (
            {"docs/a.md": "by `test_it`\n", "tests/a.py": "def test_that():\n"},
            {"docs/a.md": "by `test_it`\n", "tests/a.py": "def test_it():\n"},
        ),
    ],
    "named_files_exist": [
        ({"a.md": "see `relay/b.hpp`\n"}, {"a.md": "see `relay/b.hpp`\n", "relay/b.hpp": ""}),
        ({"cli/a.cpp": "// relay/b.hpp\n"}, {"cli/a.cpp": '#include "relay/b.hpp"\n'}),
    ],
    "scripts_stop_at_an_error": [
        ({"go": "#!/bin/bash\necho\n"}, {"go": "#!/bin/bash\nset -euo pipefail\n"}),
    ],
    "commit_subjects_are_short": [],  # needs a history: below
}


def plant(root: Path, files: dict[str, str]) -> Tree:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(root)


CASES = [(name, *case) for name, cases in PLANTED.items() for case in cases]


@pytest.mark.parametrize(
    "name, breach, sound", CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)]
)
def test_planted_breach_is_found(tmp_path: Path, name: str, breach: dict, sound: dict) -> None:
    assert list(CHECKS[name](plant(tmp_path / "breach", breach))), "breach not found"
    (tmp_path / "sound").mkdir()
    assert not list(CHECKS[name](plant(tmp_path / "sound", sound))), "sound tree blamed"


def test_every_check_has_a_planted_breach() -> None:
    assert set(PLANTED) == set(CHECKS)


def test_pages_and_drawing_are_written_from_the_tree(tmp_path: Path) -> None:
    tree = plant(
        tmp_path,
        TWO
        | {
            "ARCHITECTURE.md": "Before.\n"
            "<!-- folders -->\n```\nstale line\n```\n<!-- end -->\nBehind.\n",
            "relay/log/CMakeLists.txt": "# Read.\n" + library("relay_log", "z.cpp", "a.cpp"),
            "relay/log/z.cpp": "// First. Then more.\n",
            "relay/log/a.hpp": "// Second | half.\n",
            "relay/log/a.cpp": "",
            "relay/park/b.cpp": '#include "relay/log/a.hpp"\n',
        },
    )
    pages = check_lists.pages(tree)
    log = pages["relay/log/README.md"]
    assert log.index("| `z` | First. |") < log.index("| `a` | Second \\| half. |")
    assert "| [log](log/README.md) | Read. |" in pages["relay/README.md"]
    assert "Includes from `relay/log`." in pages["relay/park/README.md"]
    drawn = pages["ARCHITECTURE.md"]
    assert "relay/log\nrelay/park -> relay/log\n" in drawn and "stale" not in drawn
    assert drawn.startswith("Before.\n") and drawn.endswith("Behind.\n")
    check = CHECKS["pages_match_the_tree"]
    assert any("is not what the tree says" in finding for finding in check(tree))
    assert not list(check(plant(tmp_path, pages)))


def test_drawing_leaves_out_what_other_arrows_imply(tmp_path: Path) -> None:
    tree = plant(
        tmp_path,
        {
            **{f"common/{n}/CMakeLists.txt": "" for n in ("base", "text", "http")},
            "common/base/a.hpp": "",
            "common/text/a.hpp": '#include "common/base/a.hpp"\n',
            "common/http/a.hpp": '#include "common/base/a.hpp"\n'
            '#include "common/text/a.hpp"\n',
        },
    )
    assert check_includes.drawing(tree) == (
        "common/base\ncommon/text -> common/base\ncommon/http -> common/text\n"
    )


@pytest.mark.parametrize(
    "subject, sound",
    [
        ("relay: hold the commit behind an unfinished event", True),
        ("relay: " + "x" * 66, False),
        ("Fixed a thing", False),
    ],
)
def test_commit_subject(tmp_path: Path, subject: str, sound: bool) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    git("init", "-q")
    git("config", "user.name", "a")
    git("config", "user.email", "a@localhost")
    git("commit", "-q", "--allow-empty", "-m", subject)
    assert (not list(CHECKS["commit_subjects_are_short"](Tree(tmp_path)))) == sound
