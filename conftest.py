"""Every skipped test is named; under CI each must stand on a short reviewed list: an unseen skip is a defect."""

import os
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

REVIEWED = Path(__file__).parent / "tests" / "reviewed_skips.txt"


def skips(reporter: TerminalReporter) -> list[tuple[str, str]]:
    """Name and reason of each skipped test, expected failures included."""
    found = []
    for kind in ("skipped", "xfailed", "xpassed"):
        for report in reporter.stats.get(kind, []):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", kind)
            found.append((report.nodeid, str(reason)))
    return sorted(found)


def reviewed() -> set[str]:
    """The names on the list: one a line, the reason after a #."""
    lines = (line.partition("#")[0].strip() for line in REVIEWED.read_text("utf-8").splitlines())
    return {line for line in lines if line}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under CI a skip that nobody reviewed fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None or hasattr(session.config, "workerinput"):
        return
    if {name for name, _ in skips(reporter)} - reviewed() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Name what did not run."""
    allowed = reviewed()
    for name, reason in skips(terminalreporter):
        verdict = "reviewed" if name in allowed else "NOT REVIEWED (tests/reviewed_skips.txt)"
        terminalreporter.write_line(f"did not run: {name}: {reason}: {verdict}")
