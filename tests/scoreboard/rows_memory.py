"""Memory, overload, reloads, soak: rows M1 to M7."""

from __future__ import annotations

from scoreboard.board import not_built

not_built("M1", "address and undefined-behaviour sanitizers: ./test asan", "N")
not_built("M2", "thread sanitizer: ./test tsan", "N")
not_built("M3", "soak at half load with random faults, 10 minutes", "N")
not_built("M6", "overload, 3 times the capacity", "CN")
not_built("M7", "1,000 reloads under load", "N")
