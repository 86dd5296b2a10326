"""What both services decide for one event takes no more instructions than the figures kept here.

EVENTRELAY_UPDATE=1 keeps what is counted now, for the compiler at hand.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from counts import Count, compiler, own_cost, problems, replay

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAM = ROOT / "build/release/bin/bench_replay"
FIGURES = HERE / "figures.json"

# What a processor without the wide vector registers would make the C library and OpenSSL take.
OTHER_PROCESSOR = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2_Usable,-AVX2,-AVX_Usable,-AVX,-ERMS,-FSRM,-BMI2",
    "OPENSSL_ia32cap": "~0x200000200000000",
}


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Count]:
    return replay(PROGRAM, tmp_path_factory.mktemp("counted"), dict(os.environ))


def keep(name: str, counted: dict[str, Count]) -> None:
    kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    kept[name] = {
        stage: [round(count.instructions, 1), round(count.calls, 1)]
        for stage, count in counted.items()
    }
    text = json.dumps(kept, indent=2, sort_keys=True)
    FIGURES.write_text(re.sub(r"\[\s+([\d.]+),\s+([\d.]+)\s+\]", r"[\1, \2]", text) + "\n")


def test_no_stage_takes_more_instructions_than_are_kept(counted: dict[str, Count]) -> None:
    name = compiler("c++")
    if os.environ.get("EVENTRELAY_UPDATE") == "1":
        keep(name, counted)
    kept = json.loads(FIGURES.read_text())
    assert name in kept, f"no figures for {name}: EVENTRELAY_UPDATE=1 ./test instructions"
    found = problems(counted, kept[name])
    way = "if it is worth it: EVENTRELAY_UPDATE=1 ./test instructions"
    assert not found, "\n".join([*found, way])


def test_another_processor_counts_the_same(counted: dict[str, Count], tmp_path: Path) -> None:
    """Other variants of the library's functions are taken, and cost what they cost apart."""
    other = replay(PROGRAM, tmp_path, {**os.environ, **OTHER_PROCESSOR})
    taken = [other[stage].elsewhere / count.elsewhere for stage, count in counted.items()
             if count.elsewhere > 0]
    assert any(abs(ratio - 1) > 0.02 for ratio in taken), f"no other variant was taken: {taken}"
    for stage, count in counted.items():
        assert other[stage].instructions == pytest.approx(count.instructions, rel=0.002), stage
        assert other[stage].calls == pytest.approx(count.calls, rel=0.002), stage


def test_what_costs_more_is_named() -> None:
    kept = {"receive": [1000.0, 20.0], "gone": [1.0, 1.0]}
    found = {"receive": Count(1029.0, 20.0), "gone": Count(1.0, 1.0)}
    assert problems(found, kept) == []
    found["receive"] = Count(1031.0, 21.0)
    assert problems(found, kept) == [
        "receive: 1031.0 instructions per operation, 1000.0 before (+3.1%)",
        "receive: 21.0 calls per operation, 20.0 before (+5.0%)",
    ]
    del found["gone"]
    found["new"] = Count(1.0, 0.0)
    assert problems(found, kept)[:2] == ["gone: is gone", "new: no figure is kept"]


def test_only_the_programs_own_instructions_are_counted() -> None:
    """A dump as Callgrind writes it: names once, the cost of a callee behind its call."""
    dump = "\n".join([
        "version: 1", "positions: line", "events: Ir", "",
        "ob=(1) /somewhere/bench_replay", "fl=(1) replay.cpp", "fn=(1) work",
        "10 100", "cfn=(2) helper", "calls=3 20", "+2 60",
        "cob=(2) /lib/libc.so.6", "cfn=(3) memcpy", "calls=7 0", "* 900", "11 5", "",
        "ob=(2)", "fl=(2) ???", "fn=(3)", "0 900", "",
        "ob=(1)", "fn=(2)", "20 60", "",
    ])
    assert own_cost(dump, "bench_replay") == (165, 7, 900)
