"""Waiting for a condition with a deadline: the only place of the system tests that sleeps."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float, what: str, pause: float = 0.02) -> T:
    """The first true value of `condition`; AssertionError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what} (last value: {value!r})")
        time.sleep(pause)


def hold(seconds: float, still: Callable[[], bool] = lambda: True, what: str = "") -> None:
    """Lets `seconds` pass, and fails at once when `still` is no longer true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert still(), f"no longer true: {what}"
        time.sleep(0.02)
