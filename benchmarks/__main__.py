"""`python -m benchmarks [--quick] [--only NAME …]`: measure and print JSON; progress goes to standard error."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import counter, delivery, inbox, opening, panel, sends, stage, starting, streams, weight
from benchmarks.figures import Figure

# Those that need PostgreSQL get its URL first.
WITH_SERVER: dict[str, Callable[..., Iterator[Figure]]] = {
    "sends": sends.measure,
    "delivery": delivery.measure,
    "inbox": inbox.measure,
    "streams": streams.measure,
    "starting": starting.measure,
}
ALONE: dict[str, Callable[..., Iterator[Figure]]] = {
    "sqlite": sends.measure_sqlite,
    "panel": panel.measure,
    "opening": opening.measure,
    "counter": counter.measure,
    "weight": weight.measure,
}


def main() -> int:
    """Measure what was asked for. Returns 1 when a target is missed, 2 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and sizes: to try the benchmarks themselves")
    parser.add_argument("--only", action="append", choices=[*WITH_SERVER, *ALONE], help="may be given several times")
    given = parser.parse_args()
    wanted = given.only or [*WITH_SERVER, *ALONE]
    report: dict[str, Any] = {"machine": machine(), "quick": given.quick, "figures": {}, "failed": {}}
    with ExitStack() as stack:
        server = stack.enter_context(stage.postgresql()) if set(wanted) & set(WITH_SERVER) else ""
        for name in wanted:
            figures = (
                WITH_SERVER[name](server, quick=given.quick) if name in WITH_SERVER else ALONE[name](quick=given.quick)
            )
            found = report["figures"].setdefault(name, [])
            try:
                for figure in figures:
                    found.append(figure.to_json())
                    print(f"{name}: {_line(figure)}", file=sys.stderr, flush=True)
            except (OSError, RuntimeError) as problem:
                report["failed"][name] = str(problem)
                print(f"{name}: not measured: {problem}", file=sys.stderr, flush=True)
    report["missed"] = [
        f"{name}: {one['name']}"
        for name, found in report["figures"].items()
        for one in found
        if one.get("holds") is False
    ]
    report["load_at_the_end"] = os.getloadavg()
    print(json.dumps(report, indent=2))
    return 2 if report["failed"] else int(bool(report["missed"]))


def machine() -> dict[str, Any]:
    """What the figures were measured on, and how busy it was before."""
    memory = next(line for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    model = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "processors": os.cpu_count(),
        "model": model[0] if model else platform.machine(),
        "memory_gib": round(int(memory.split()[1]) / (1 << 20), 1),
        "python": platform.python_version(),
        "load_before": os.getloadavg(),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text("utf-8").splitlines()


def _line(figure: Figure) -> str:
    verdict = {True: "holds", False: "MISSED", None: ""}[figure.holds]
    value = "–" if figure.value is None else f"{figure.value:.4g}"
    return f"{figure.name}: {value} {figure.unit} {verdict}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
