"""The model of ledger, detaching, kill and rebalance, checked over every order of its steps.

One verifier is built per session; its budgets and its fault come from the environment. A run
without a fault finds nothing; each planted fault is found; each place of interest is reached.
EVENTRELAY_NIGHTLY=1 adds the larger budgets (minutes, and some GB of memory).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROWS

HERE = Path(__file__).resolve().parent
NIGHTLY = os.environ.get("EVENTRELAY_NIGHTLY") == "1"


class Budget(NamedTuple):
    """How much may happen: records, kills, moves to the other worker, detaches, cursor commits."""

    records: int
    kills: int
    moves: int
    detaches: int
    puts: int

    def __str__(self) -> str:
        return f"{self.records}r {self.kills}k {self.moves}m {self.detaches}d {self.puts}p"


KILL = Budget(2, 1, 0, 1, 1)
KILL_TWICE = Budget(2, 1, 0, 2, 1)
KILL_THREE = Budget(3, 1, 0, 1, 0)
MOVE_ONE = Budget(1, 0, 1, 1, 0)
MOVE = Budget(2, 0, 1, 1, 0)

CLEAN = [Budget(3, 1, 0, 2, 1), MOVE]
if NIGHTLY:
    CLEAN += [Budget(3, 2, 0, 2, 1), Budget(2, 1, 1, 1, 0), Budget(3, 0, 1, 1, 0)]

# The assertions: nothing is lost, a former owner never counts.
LOST = "^ok$"
BOOTED = "booted"
FAULTS = {
    1: ("offsets are let go before the state record is durable", KILL, LOST),
    2: ("two detaches share one key", KILL, LOST),
    3: ("any acknowledgement of a key makes its cursor durable", KILL_TWICE, LOST),
    4: ("the group commits the live position", KILL, LOST),
    5: ("a cursor is deleted while its jobs are out", KILL, LOST),
    6: ("a record's cursor is ahead of what is out", KILL, LOST),
    7: ("records of older epochs count", MOVE, BOOTED),
    8: ("the state is read before the own mark, not up to it", MOVE, LOST),
    9: ("an owner begins without an accepted commit behind its mark", MOVE, BOOTED),
    10: ("the group takes commits of former owners", MOVE, "committed"),
    11: ("what a former owner wrote over is not written again", MOVE, LOST),
    12: ("a cursor does not know of what is in flight", KILL, LOST),
    13: ("the ranges name what is in flight", KILL, LOST),
    14: ("attached below what the ranges name", KILL_THREE, LOST),
    15: ("a record is durable though a newer mark stands before it", MOVE_ONE, LOST),
    16: ("of two marks of one epoch the last counts", MOVE_ONE, LOST),
}
PLACES = {
    1: ("a record of a former owner lands and does not count", MOVE),
    2: ("a commit of a former owner is refused", MOVE),
    3: ("a record is delivered twice", KILL),
    4: ("two cursors live side by side", KILL_TWICE),
    5: ("a cursor is deleted", KILL),
    6: ("an owner finds what a former one wrote over", MOVE),
    7: ("an owner reads back a cursor with open records", KILL),
    8: ("detached with records in flight", KILL),
    9: ("two owners choose the same epoch", MOVE_ONE),
    10: ("everything ends: all delivered, all committed", KILL),
    11: ("an owner finds itself fenced and takes over again", MOVE),
}


class Run(NamedTuple):
    errors: int
    states: int
    seconds: float
    failed: str  # the text of the assertion


@pytest.fixture(scope="session")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert shutil.which("spin"), "the package spin is missing: .ci/setup models"
    folder = tmp_path_factory.mktemp("model")
    shutil.copy(HERE / "detach.pml", folder)
    subprocess.run(["spin", "-a", "detach.pml"], cwd=folder, check=True, timeout=60)
    subprocess.run(
        ["gcc", "-O2", "-w", "-DSAFETY", "-DMEMLIM=12000", "-o", "pan", "pan.c"],
        cwd=folder, check=True, timeout=300)
    return folder / "pan"


def check(verifier: Path, name: str, budget: Budget, **planted: int) -> Run:
    env = {key.upper(): str(value) for key, value in budget._asdict().items()}
    env |= {key: str(value) for key, value in planted.items()}
    folder = verifier.parent / name.split(":")[0].replace(" ", "-")
    folder.mkdir()
    bits = "26" if NIGHTLY and not planted else "22"
    done = subprocess.run([verifier, "-m100000", f"-w{bits}", "-n"], cwd=folder, text=True,
                          env=os.environ | env, capture_output=True, timeout=3600)
    out = done.stdout + done.stderr
    assert "max search depth too small" not in out and "out of memory" not in out, out
    errors = re.search(r"errors: (\d+)", out)
    assert errors, out
    # Complete, unless it stopped at the error it was to find.
    assert errors[1] != "0" or "Search not completed" not in out, out
    failed = re.search(r"assertion violated (.*) \(at depth", out)
    run = Run(
        int(errors[1]),
        int(float(re.search(r"([\d.e+]+) states, stored", out)[1])),
        float((re.search(r"elapsed time ([\d.e+-]+)", out) or ["", "0"])[1]),
        failed[1] if failed else "",
    )
    found = f"found: {run.failed}" if run.errors else "0 violations"
    ROWS.append(f"{name[:44]:44} {run.states:11d} {run.seconds:8.2f}  {found}")
    return run


@pytest.mark.parametrize("budget", CLEAN, ids=str)
def test_nothing_is_lost(verifier: Path, budget: Budget) -> None:
    run = check(verifier, f"model {budget}", budget)
    assert run.errors == 0, run.failed
    assert run.states > 100_000


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_found(verifier: Path, fault: int) -> None:
    what, budget, assertion = FAULTS[fault]
    run = check(verifier, f"fault {fault}: {what}", budget, FAULT=fault)
    assert run.errors == 1, what
    assert re.search(assertion, run.failed), run.failed


@pytest.mark.parametrize("place", PLACES)
def test_place_is_reached(verifier: Path, place: int) -> None:
    what, budget = PLACES[place]
    run = check(verifier, f"place {place}: {what}", budget, PROBE=place)
    assert run.errors == 1, f"never reached: {what}"
    assert re.search(rf"!=\s*{place}\b", run.failed), run.failed
