"""Prints what the model checker did: states, seconds, verdict of each run."""

ROWS: list[str] = []


def pytest_terminal_summary(terminalreporter) -> None:
    if ROWS:
        terminalreporter.section("model checker")
        terminalreporter.write_line(f"{'run':44} {'states':>11} {'seconds':>8}  verdict")
        for row in ROWS:
            terminalreporter.write_line(row)
