"""A helper process of a test, asked over a pipe: one question, one answer.

Bounds: one process; it ends with its handle or with the test.
"""

from __future__ import annotations

import multiprocessing
import os
from typing import Callable


class Child:
    """Runs `serve(control, *arguments)` in a process; `hello` is the first thing it says."""

    def __init__(self, serve: Callable, *arguments: object):
        context = multiprocessing.get_context("spawn")
        self._control, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()
        self.hello = self._control.recv()

    def give_way(self) -> None:
        """Gives the process the lowest priority on the machine."""
        os.setpriority(os.PRIO_PROCESS, self._process.pid, 19)

    def ask(self, *command: object):
        self._control.send(command)
        return self._control.recv()

    def close(self, *command: object) -> None:
        """Tells it to end with `command`, which has no answer."""
        try:
            self._control.send(command or ("end",))
        except OSError:
            pass
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
