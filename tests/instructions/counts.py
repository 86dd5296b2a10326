"""Instructions of a fixed replay, counted by Callgrind, and what they may be.

Only what is compiled into the replay is counted, and the calls that leave it: which variant of a
function the C library or OpenSSL takes depends on the processor, the call to it does not.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

COUNTED = "bench_replay_counted"
SHARE_MAX = 0.03


KEPT = ("instructions", "calls")


class Count(NamedTuple):
    """Of one operation: instructions of our own code, and calls from it into other libraries; what
    these take is told, not kept."""

    instructions: float
    calls: float
    elsewhere: float = 0.0


def dumps(folder: Path) -> list[Path]:
    """The dumps of a run in the order in which the stages ended, without the rest at the end."""
    numbered = [path for path in folder.iterdir() if re.search(r"\.\d+$", path.name)]
    numbered.sort(key=lambda path: int(path.name.rsplit(".", 1)[1]))
    return [path for path in numbered if "Trigger: --dump-after" in path.read_text()]


def own_cost(dump: str, program: str) -> tuple[int, int, int]:
    """Instructions in functions of `program`, calls from them into other objects, and the
    instructions there.

    A line of cost is `position count`; the one behind `calls=` tells what the callee took in all.
    Names are written once and abbreviated as `(number)` then.
    """
    names: dict[str, str] = {}
    here = target = ""
    instructions = calls = elsewhere = 0
    of_callee = False

    def name_of(value: str) -> str:
        number, _, name = value.partition(" ")
        if name:
            names[number] = name
        return names[number]

    for line in dump.splitlines():
        key, equals, value = line.partition("=")
        if equals and key == "ob":
            here, target = name_of(value), ""
        elif equals and key == "cob":  # not written where the callee's object is the caller's
            target = name_of(value)
        elif equals and key == "calls":
            if here.endswith(program) and not (target or here).endswith(program):
                calls += int(value.split()[0])
            target = ""
            of_callee = True
        elif line[:1] in set("+-*0123456789"):
            cost = 0 if of_callee else int(line.split()[1])
            if here.endswith(program):
                instructions += cost
            else:
                elsewhere += cost
            of_callee = False
    return instructions, calls, elsewhere


def replay(program: Path, folder: Path, env: dict[str, str] | None = None) -> dict[str, Count]:
    """Runs the replay once and returns the cost of one operation of each stage."""
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--toggle-collect={COUNTED}", f"--dump-after={COUNTED}",
         f"--callgrind-out-file={folder}/out", "-q", str(program)],
        capture_output=True, text=True, timeout=300, env=env, check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    stages = [line.split() for line in done.stdout.splitlines()]
    found = dumps(folder)
    assert len(found) == len(stages) > 0, (found, stages, done.stderr[-2000:])
    counts = {}
    for path, (stage, operations) in zip(found, stages):
        cost = own_cost(path.read_text(), program.name)
        counts[stage] = Count(*(each / int(operations) for each in cost))
    return counts


def compiler(commands: str) -> str:
    """`GCC 12`: figures are kept per major version, as each generates code of its own."""
    version = subprocess.run([commands, "-dumpversion"], capture_output=True, text=True, check=True)
    return f"GCC {version.stdout.strip().split('.')[0]}"


def problems(found: dict[str, Count], kept: dict[str, list[float]]) -> list[str]:
    """One line for each stage that costs more than 3 % above what is kept, or is not kept."""
    lines = []
    for stage in sorted({*found, *kept}):
        if stage not in kept or stage not in found:
            lines.append(f"{stage}: {'no figure is kept' if stage in found else 'is gone'}")
            continue
        for what, now, before in zip(KEPT, found[stage], kept[stage]):
            if now > before * (1 + SHARE_MAX):
                more = f"{now / before - 1:+.1%}" if before else "from nothing"
                told = f"{stage}: {now:.1f} {what} per operation, {before:.1f} before"
                lines.append(f"{told} ({more})")
    return lines
