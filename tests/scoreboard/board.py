"""The board: which rows there are, running them one after the other, and printing their verdicts.

A row that was not run is never counted as passed; a row that is not built is listed as such.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable
from xml.sax.saxutils import quoteattr

from scoreboard.scene import Check, Cluster, Figures, Scene

Run = Callable[[Scene], None]  # of Figures alone where there is no cluster


@dataclass
class Row:
    name: str
    title: str
    tiers: str  # "C", "N" or "CN": in the default run, in the nightly one (maybe longer there)
    nodes: int  # of the cluster; 0 = none
    seconds: float  # deadline in C
    nightly_seconds: float
    run: Run | None = None
    nightly_nodes: int = 0  # another cluster in N

    @property
    def waits_for(self) -> str:
        return WAITS_FOR.get(self.name, "")

    def cluster(self, nightly: bool) -> int:
        return (nightly and self.nightly_nodes) or self.nodes


ROWS: dict[str, Row] = {}

# What the programs lack for a row; such a row is played only when it is named.
WAITS_FOR: dict[str, str] = {
}


def row(
    name: str,
    title: str,
    tiers: str,
    nodes: int = 1,
    seconds: float = 60,
    nightly: float = 0,
    nightly_nodes: int = 0,
) -> Callable[[Run], Run]:
    def keep(function: Run) -> Run:
        assert name not in ROWS, f"two rows {name}"
        later = nightly or seconds
        ROWS[name] = Row(name, title, tiers, nodes, seconds, later, function, nightly_nodes)
        return function

    return keep


def not_built(name: str, title: str, tiers: str) -> None:
    assert name not in ROWS, f"two rows {name}"
    ROWS[name] = Row(name, title, tiers, 0, 0, 0)


@dataclass
class Verdict:
    row: Row
    word: str  # pass, fail, not built
    seed: int = 0
    seconds: float = 0.0
    checks: list[Check] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def line(self) -> str:
        """`name pass/fail figure bound seed`"""
        if self.word == "not built":
            waits = f" (waits for {self.row.waits_for})" if self.row.waits_for else ""
            return f"{self.row.name:4} {self.word}  {self.row.title}{waits}"
        figures = "; ".join(c.figure + ("" if c.ok else " (!)") for c in self.checks)
        bounds = "; ".join(c.bound for c in self.checks if c.bound)
        seconds = f"{self.seconds:.0f} s"
        return f"{self.row.name:4} {self.word}  {figures}  [{bounds}]  seed {self.seed}  {seconds}"

    def as_json(self) -> dict:
        return {
            "name": self.row.name,
            "title": self.row.title,
            "verdict": self.word,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "checks": [vars(check) for check in self.checks],
            "findings": self.findings,
        }


class Late(Exception):
    """The deadline of a row is over."""


def _late(*_: object) -> None:
    raise Late


class Clusters:
    """One of each size at most, started when first needed."""

    def __init__(self, seed: int):
        self.seed = seed
        self.open: dict[int, Cluster] = {}

    def get(self, nodes: int) -> Cluster:
        if nodes not in self.open:
            self.open[nodes] = Cluster(nodes, self.seed)
        return self.open[nodes]

    def drop(self, nodes: int) -> None:
        cluster = self.open.pop(nodes, None)
        if cluster is not None:
            cluster.close()

    def close(self) -> None:
        for nodes in list(self.open):
            self.drop(nodes)


def play(which: Row, clusters: Clusters, seed: int, nightly: bool, keep: Path) -> Verdict:
    """One row, with its deadline, the cluster healed afterwards."""
    verdict = Verdict(which, "fail", seed)
    nodes = which.cluster(nightly)
    begin = time.monotonic()
    directory = keep / which.name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    scene = None
    signal.signal(signal.SIGALRM, _late)
    try:
        cluster = clusters.get(nodes) if nodes else None
        begin = time.monotonic()
        allowed = (which.nightly_seconds if nightly else which.seconds) or which.nightly_seconds
        signal.setitimer(signal.ITIMER_REAL, allowed)
        if cluster is not None:
            scene = Scene(which.name, cluster, directory, seed, nightly)
        else:
            scene = Figures(which.name, directory, seed, nightly)
        which.run(scene)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not scene.checks:
            scene.check(False, "nothing was judged")
    except Late:
        _fail(scene, verdict, f"not done in {allowed:g} s", "")
    except Exception as error:  # a row that breaks is a failed row, and the next one is played
        text = str(error).splitlines() or [type(error).__name__]
        _fail(scene, verdict, text[0][:200], traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if scene is not None:
            scene.close()
            verdict.checks, verdict.findings = scene.checks, scene.findings + verdict.findings
    verdict.seconds = time.monotonic() - begin
    try:
        if nodes in clusters.open:
            clusters.open[nodes].heal()
    except Exception as error:
        verdict.findings.append(f"the cluster did not heal: {error}")
        verdict.checks.append(Check(False, "cluster not healed"))
        clusters.drop(nodes)
    if verdict.checks and all(check.ok for check in verdict.checks):
        verdict.word = "pass"
        shutil.rmtree(directory, ignore_errors=True)
    return verdict


def _fail(scene: Figures | None, verdict: Verdict, what: str, trace: str) -> None:
    checks = scene.checks if scene is not None else verdict.checks
    checks.append(Check(False, what))
    if trace:
        verdict.findings.append(trace)


def pick(names: list[str], tier: str) -> list[Row]:
    """Rows of a tier, or the named ones (`R` names all that begin so); one-node rows first, so that
    the bigger cluster is started once and the smaller one is gone by then."""
    if names:
        rows = [
            r
            for r in ROWS.values()
            if any(r.name == n or (not n[-1].isdigit() and r.name.startswith(n)) for n in names)
        ]
        unknown = [n for n in names if not any(r.name.startswith(n) for r in rows)]
        if unknown:
            raise SystemExit(f"scoreboard: no row {', '.join(unknown)}; --list names them")
    else:
        rows = [r for r in ROWS.values() if tier in r.tiers]
    return sorted(rows, key=lambda r: r.cluster(tier == "N"))


def play_all(
    rows: list[Row], seed: int, nightly: bool, keep: Path, named: bool = False
) -> list[Verdict]:
    verdicts = []
    clusters = Clusters(seed)
    todo = [r for r in rows if r.run is not None and (named or not r.waits_for)]
    try:
        for place, which in enumerate(todo):
            verdict = play(which, clusters, seed, nightly, keep)
            verdicts.append(verdict)
            print(verdict.line(), flush=True)
            for finding in verdict.findings:
                print("     " + finding.rstrip().replace("\n", "\n     "), flush=True)
            nodes = which.cluster(nightly)
            if not any(r.cluster(nightly) == nodes for r in todo[place + 1 :]):
                clusters.drop(nodes)
    finally:
        clusters.close()
    verdicts += [Verdict(r, "not built") for r in rows if r not in todo]
    return verdicts


def junit(verdicts: list[Verdict]) -> str:
    """Only rows that ran are cases."""
    cases = []
    for verdict in verdicts:
        if verdict.word == "not built":
            continue
        name, seconds = quoteattr(verdict.row.name), f"{verdict.seconds:.1f}"
        inner = "" if verdict.word == "pass" else f"<failure message={quoteattr(verdict.line())}/>"
        case = f'<testcase classname="scoreboard" name={name} time="{seconds}">{inner}</testcase>'
        cases.append(case)
    failed = sum(verdict.word == "fail" for verdict in verdicts)
    head = f'<testsuite name="scoreboard" tests="{len(cases)}" failures="{failed}" errors="0">'
    return f'<?xml version="1.0"?>\n<testsuites>{head}{"".join(cases)}</testsuite></testsuites>\n'


def main(arguments: list[str]) -> int:
    import argparse

    parser = argparse.ArgumentParser(
        prog="tests/scoreboard/run", description="Plays the scoreboard and prints it."
    )
    parser.add_argument("rows", nargs="*", help="names, or the letter of a group; none = the tier")
    parser.add_argument("--tier", choices="CN", default="C", help="C = default, N = nightly")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run; default: by chance")
    parser.add_argument("--list", action="store_true", help="names the rows")
    parser.add_argument("--junit", type=Path, help="writes a report of the rows that ran")
    parser.add_argument("--json", type=Path, help="writes everything")
    parser.add_argument("--keep", type=Path, help="folder for the logs of failed rows")
    options = parser.parse_args(arguments)
    if options.list:
        for one in ROWS.values():
            built = f"{one.nodes} node(s)" if one.run and not one.waits_for else "not built"
            print(f"{one.name:4} {one.tiers:3} {built:10} {one.title}")
        return 0
    seed = options.seed
    if seed is None:
        seed = int.from_bytes(open("/dev/urandom", "rb").read(3), "big")
    keep = options.keep or Path(tempfile.mkdtemp(prefix="eventrelay-scoreboard-"))
    rows = pick(options.rows, options.tier)
    print(f"scoreboard: {len(rows)} rows, tier {options.tier}, seed {seed}, logs in {keep}")
    begin = time.monotonic()
    verdicts = play_all(rows, seed, options.tier == "N", keep, bool(options.rows))
    print()
    for verdict in verdicts:
        print(verdict.line())
    counts = {w: sum(v.word == w for v in verdicts) for w in ("pass", "fail", "not built")}
    seconds = time.monotonic() - begin
    print(", ".join(f"{n} {w}" for w, n in counts.items()) + f", seed {seed}, {seconds:.0f} s")
    if options.junit:
        options.junit.write_text(junit(verdicts))
    if options.json:
        options.json.write_text(json.dumps([v.as_json() for v in verdicts], indent=1))
    if not counts["fail"]:
        shutil.rmtree(keep, ignore_errors=True)
    if not counts["pass"] + counts["fail"]:
        print("scoreboard: none of these rows is built, so none was run", file=sys.stderr)
        return 1
    return 1 if counts["fail"] else 0
