"""Each check finds a planted breach, and leaves the sound twin of it alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import check_code
import check_includes
import check_lists
import check_sizes
import check_words
import exceptions
import pytest
from tree import CHECKS, Tree

assert all((check_code, check_includes, check_lists, check_sizes, check_words))

HEAD = "// What it is. Thread: any.\n#pragma once\n"
LONG = "\n".join("  f();" for _ in range(61))
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
    "third_parties_stay_behind_one_header": [
        (
            {"relay/a.cpp": "#include <librdkafka/rdkafka.h>\n"},
            {"common/kafka/a.cpp": "#include <librdkafka/rdkafka.h>\n"},
        ),
        (
            {"common/crypto.hpp": "#include <openssl/evp.h>\n"},
            {"common/crypto.cpp": "#include <openssl/evp.h>\n"},
        ),
        (
            {"ingest/normalizer.cpp": "#include <simdjson.h>\n"},
            {"common/json.cpp": "#include <simdjson.h>\n"},
        ),
        (
            {"ingest/gate.cpp": "#include <boost/beast/http.hpp>\n"},
            {"ingest/session.cpp": "#include <boost/beast/http.hpp>\n"},
        ),
    ],
    "policy_files_are_pure": [
        (
            {"relay/retry.cpp": "#include <boost/asio/io_context.hpp>\n"},
            {"relay/deliverer.cpp": "#include <boost/asio/io_context.hpp>\n"},
        ),
        (
            {"relay/scheduler.hpp": "auto t = monotonic_now();\n"},
            {"relay/scheduler.hpp": "// now\n"},
        ),
        ({"ingest/gate.cpp": "std::random_device d;\n"}, {"ingest/gate.cpp": 'auto s = "rand";\n'}),
        ({"ingest/verify/box.cpp": "throw 1;\n"}, {"ingest/shard.cpp": "throw 1;\n"}),
        (
            {"relay/signer.cpp": '#include "common/metrics.hpp"\n'},
            {"relay/signer.cpp": '#include "common/metrics_list.hpp"\n'},
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
            {"common/clock.cpp": "auto t = std::chrono::steady_clock::now();\n"},
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
    "types_say_their_thread": [
        (
            {"relay/a.hpp": HEAD + "\nclass A {\n};\n"},
            {"relay/a.hpp": HEAD + "\n// Does it. Thread: shard-local.\nclass A {\n};\n"},
        ),
        (
            {"relay/a.hpp": "// What it is.\n\nstruct A {\n};\n"},
            {"relay/a.hpp": HEAD + "\nstruct A {\n};\nclass Later;\n"},
        ),
        (
            {"relay/a.hpp": HEAD + "\n// Words.\ntemplate <class T>\nclass A {\n};\n"},
            {"relay/a.hpp": HEAD + "\n// Thread: any.\ntemplate <class T>\nclass A {\n};\n"},
        ),
    ],
    "files_are_short": [
        ({"relay/a.hpp": "\n" * 151}, {"relay/a.hpp": "\n" * 150}),
        ({"relay/a.cpp": "\n" * 401}, {"relay/a.cpp": "\n" * 400}),
        ({"tests/unit/a.cpp": "\n" * 601}, {"tests/unit/a.cpp": "\n" * 600}),
        ({"CMakeLists.txt": "\n" * 151}, {"CMakeLists.txt": "\n" * 150}),
    ],
    "functions_are_short": [
        (
            {"relay/a.cpp": f"void a() {{\n{LONG}\n}}\n"},
            {"relay/a.cpp": "void a() {\n  f();\n}\n\n" + LONG},
        ),
        (
            {"relay/a.cpp": f"int A::b(int x,\n     int y) const {{\n{LONG}\n}}\n"},
            {"relay/a.cpp": f"namespace a {{\n{LONG}\n}}\n"},
        ),
        (
            {"relay/a.hpp": f"class A {{\n  void b() {{\n{LONG}\n  }}\n}};\n"},
            {"relay/a.hpp": f"class A {{\n{LONG}\n}};\n"},
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
    ],
    "cmake_lists_are_in_flow_order": [
        (
            {"relay/CMakeLists.txt": "signer.cpp consumer.cpp\n"},
            {"relay/CMakeLists.txt": "consumer.cpp other.cpp signer.cpp\n"},
        ),
        (
            {"common/CMakeLists.txt": "a.cpp b.cpp b.hpp a.hpp\n"},
            {"common/CMakeLists.txt": "a.cpp b.cpp a.hpp b.hpp\n"},
        ),
    ],
    "readme_tables_match_the_tree": [
        ({"README.md": "nothing\n"}, {}),
    ],
    "every_key_is_used": [
        (
            {"common/config.hpp": "struct A {\n  int turn = 1;\n};\n", "relay/a.cpp": "// turn\n"},
            {"common/config.hpp": "struct A {\n  int turn = 1;\n};\n", "relay/a.cpp": "c.turn;\n"},
        ),
    ],
    "every_metric_is_used": [
        (
            {"common/metrics_list.hpp": '  COUNTER(a_total, "A.")\n', "relay/a.cpp": "b_total;\n"},
            {"common/metrics_list.hpp": '  COUNTER(a_total, "A.")\n', "relay/a.cpp": "a_total;\n"},
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


def test_stale_table_is_found_and_rewritten(tmp_path: Path) -> None:
    marks = "".join(f"<!-- files of {f} -->\n<!-- end -->\n" for f in check_lists.PRODUCT)
    tree = plant(
        tmp_path,
        {
            "README.md": marks,
            "relay/CMakeLists.txt": "b.cpp a.cpp b.hpp\n",
            "relay/a.cpp": "// Second.\n",
            "relay/b.cpp": "",
            "relay/b.hpp": "// First, of two\n// lines. More.\n",
        },
    )
    check = CHECKS["readme_tables_match_the_tree"]
    assert any("out of date" in finding for finding in check(tree))
    text = check_lists.with_tables(tree, marks)
    assert text.index("| `b` | First, of two lines. |") < text.index("| `a` | Second. |")
    assert not list(check(plant(tmp_path, {"README.md": text})))


def test_exception_that_is_not_needed_is_found(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(exceptions, "LONG_FILES", {"relay/a.cpp": "reason"})
    monkeypatch.setattr(exceptions, "LONG_FUNCTIONS", {"relay/a.cpp: a": "reason"})
    long = plant(tmp_path / "long", {"relay/a.cpp": f"void a() {{\n{LONG}\n}}\n" + "\n" * 400})
    short = plant(tmp_path / "short", {"relay/a.cpp": "void a() {\n}\n"})
    for name in ("files_are_short", "functions_are_short"):
        assert not list(CHECKS[name](long))
        assert list(CHECKS[name](short))


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
