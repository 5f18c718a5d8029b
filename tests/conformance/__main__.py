"""Judges ONNX's backend suite: `python -m tests.conformance --only 'scatter|topk' --targets wasm,webgpu`."""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tests.conformance.engine import Verdict
from tests.conformance.judge import Outcome, Status
from tests.conformance.packs import STRICT, TARGETS, Packs
from tests.conformance.suite import cases
from tests.conformance.workers import Job, judge

BATCH = 40  # cases to a pack
STYLES: dict[Status, str] = {"passed": "green", "failed": "red", "skipped": "yellow"}


def main() -> None:
    """Judge what is asked for, and tell."""
    asked = _arguments()
    targets = asked.targets.split(",")
    chosen = [c.name for c in cases() if re.search(asked.only, c.name)]
    console = Console()
    console.print(f"{len(chosen)} of {len(cases())} tests on {', '.join(targets)}")
    jobs = [Job("packs", chosen[i : i + BATCH]) for i in range(0, len(chosen), BATCH)]
    found: list[Verdict] = []
    start = time.perf_counter()
    with _progress(console) as progress:
        task = progress.add_task("", total=len(chosen) * len(targets))
        for verdict in judge(jobs, {"packs": (Packs, (targets,))}, asked.processes):
            found.append(verdict)
            progress.update(task, advance=1, description=verdict.test)
    for (test, outcome), where in _alike(found).items():
        if outcome.status != "passed" or asked.verbose:
            line = Text.assemble(
                (f"{outcome.status} ", STYLES[outcome.status]),
                f"{test} on {', '.join(where)}  ",
                outcome.reason,
            )
            console.print(line, soft_wrap=True)
    console.print(_totals(found, targets))
    console.print(f"{time.perf_counter() - start:.0f} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX", help="tests whose name has a match")
    parser.add_argument("--targets", default=",".join((*TARGETS, STRICT)), metavar="NAME,...")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument("-v", "--verbose", action="store_true", help="list what passes, too")
    return parser.parse_args()


def _progress(console: Console) -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=console, transient=True)


def _alike(found: list[Verdict]) -> dict[tuple[str, Outcome], list[str]]:
    """Targets by test and by what it came to, which mostly is the same."""
    alike: dict[tuple[str, Outcome], list[str]] = {}
    for verdict in sorted(found):
        plain = Outcome(verdict.outcome.status, verdict.outcome.reason)
        alike.setdefault((verdict.test, plain), []).append(verdict.target)
    return alike


def _totals(found: list[Verdict], targets: list[str]) -> Table:
    table = Table(box=None)
    for name in ("target", *STYLES):
        table.add_column(name, justify="left" if name == "target" else "right")
    for target in targets:
        counts = Counter(v.outcome.status for v in found if v.target == target)
        table.add_row(target, *(str(counts[status]) for status in STYLES))
    return table


if __name__ == "__main__":
    main()
