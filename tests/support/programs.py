"""The real programs under test: started with a configuration, watched, signalled, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from support.broker import _die_with_parent
from support.wait import until

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("EVENTRELAY_BIN", ROOT / "build/release/bin"))


class Program:
    """One process. Its log lines are kept in a file and parsed on demand; `log_to` sends them
    elsewhere, e.g. to a device that is full."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        directory: Path,
        env: dict | None = None,
        log_to: str | None = None,
    ):
        self.name = name
        Program.started = getattr(Program, "started", 0) + 1
        self.log_path = directory / f"{Program.started:03}-{name}.log"
        self.out_path = directory / f"{Program.started:03}-{name}.out"
        self._ready: dict | None = None
        self.log_path.touch()
        with open(log_to or self.log_path, "wb") as log, self.out_path.open("wb") as out:
            self.process = subprocess.Popen(
                [str(BIN / name), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env={**os.environ, **(env or {})},
                preexec_fn=_die_with_parent,
            )
        self.pid = self.process.pid

    # -- what it said --

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def lines(self) -> list[dict]:
        found = []
        for line in self.log().splitlines():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                found.append({"msg": line, "raw": True})
        return found

    def said(self, message: str) -> list[dict]:
        return [line for line in self.lines() if line.get("msg") == message]

    def wait_started(self, seconds: float = 20.0) -> Program:
        """Until its admin listener is open; it may be far from ready."""
        until(lambda: self.said("starting"), seconds, f"{self.name} starts")
        self._ready = self.said("starting")[0]
        return self

    def wait_ready(self, seconds: float = 20.0) -> Program:
        def ready() -> dict | None:
            if self.process.poll() is not None:
                code = self.process.returncode
                raise AssertionError(f"{self.name} ended with {code}:\n{self.log()}")
            found = self.said("ready")
            return found[-1] if found else None

        self._ready = until(ready, seconds, f"{self.name} is ready; it said:\n{self.log()}")
        return self

    @property
    def port(self) -> int:
        assert self._ready is not None
        listen = self._ready["listen"]
        return int((listen[0] if isinstance(listen, list) else listen).rsplit(":", 1)[1])

    @property
    def admin(self) -> int:
        assert self._ready is not None
        return int(self._ready["admin"].rsplit(":", 1)[1])

    # -- the admin listener --

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}{path}", method=method)
        if method != "GET":
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """Sum of a metric's samples; `name` may carry labels: `a_total{code="202"}`."""
        total, found = 0.0, False
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith("#"):
                continue
            series, _, value = line.rpartition(" ")
            if series == name or series.startswith(name + "{"):
                total, found = total + float(value), True
        assert found, f"no metric {name}"
        return total

    def wait_live(self, seconds: float = 20.0) -> Program:
        """Waits until /readyz answers 200."""
        until(lambda: self.get("/readyz")[0] == 200, seconds, f"{self.name} /readyz")
        return self

    # -- its life --

    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def reload(self) -> None:
        self.signal(signal.SIGHUP)

    def end(self, seconds: float = 30.0) -> tuple[int, float]:
        """Sends SIGTERM; returns the exit code and the seconds until then."""
        begin = time.monotonic()
        self.process.terminate()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not end in {seconds} s:\n{self.log()[-3000:]}")
        return code, time.monotonic() - begin

    def kill(self) -> None:
        if self.alive():
            self.process.kill()
            self.process.wait()

    def rss(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024


def run(
    name: str,
    *arguments: str,
    stdin: bytes = b"",
    seconds: float = 30.0,
    env: dict | None = None,
) -> subprocess.CompletedProcess:
    """A program that ends by itself."""
    return subprocess.run(
        [str(BIN / name), *arguments],
        input=stdin,
        capture_output=True,
        timeout=seconds,
        env={**os.environ, **(env or {})},
        check=False,
    )
