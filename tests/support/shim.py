"""The environment that makes a program report whom it calls and lets a test set its wall clock."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path


class Shim:
    """Thread: none of its own.  Bounds: one line per connection."""

    def __init__(self, directory: Path):
        self.library = directory / "shim.so"
        self.calls = directory / "connects"
        self.clock = directory / "clock"
        self.calls.touch()
        self.move(0.0)
        source = Path(__file__).with_name("shim.c")
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-o", str(self.library), str(source), "-ldl"],
            check=True,
            capture_output=True,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self.library),
            "EVENTRELAY_TEST_CONNECTS": str(self.calls),
            "EVENTRELAY_TEST_CLOCK": str(self.clock),
        }

    def connected(self) -> list[str]:
        return self.calls.read_text().split()

    def move(self, seconds: float) -> None:
        """Sets the wall clock so much ahead of the real one."""
        raw = struct.pack("=q", int(seconds * 1e9))
        if self.clock.exists():
            with self.clock.open("r+b") as out:
                out.write(raw)  # in place: the program has it mapped
        else:
            self.clock.write_bytes(raw)
