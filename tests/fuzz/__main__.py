"""Compares random models with their references: `python -m tests.fuzz --graphs 2000 --target wasm,webgpu`.

`--seed` chooses other models, `--again build/fuzz/NAME.onnx` judges one that was written before.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.conformance.engine import Verdict
from tests.conformance.judge import Outcome
from tests.conformance.workers import Job, Making, judge
from tests.fuzz import shrink
from tests.fuzz.engine import NUMPY, UNDECIDED, Fuzzed, Planned, case_of
from tests.fuzz.models import Made, model, named, operators

BATCH = 40  # models to a pack
TARGETS = (NUMPY, "wasm", "webgpu")
FOLDER = Path(__file__).resolve().parents[2] / "build" / "fuzz"
STATES = ("agree", UNDECIDED, "refused", "mismatch")


def main() -> None:
    """Judge what is asked for, and tell."""
    asked = _arguments()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as cache:
        os.environ["PYRUNTIME_CACHE"] = cache  # objects that no other build has a use for
        if asked.again:
            sys.exit(_again(shrink.load(asked.again), asked.target, console, asked.full))
        names = [named(asked.seed, asked.first + i) for i in range(asked.graphs)]
        start = time.perf_counter()
        verdicts = judged(names, asked.target, asked.processes, console, asked.full)
        _tell(names, verdicts, console)
        console.print(f"{time.perf_counter() - start:.0f} s")
        wrong = [v for v in verdicts if v.outcome.status == "failed"]
        for verdict in wrong:
            made = model(verdict.test)
            if not asked.whole:
                made = smallest(made, verdict.target, asked.full)
            name = f"{verdict.test}_{verdict.target}"
            path = shrink.write(made, FOLDER, name, verdict.outcome.reason)
            console.print(f"{path}: {verdict.outcome.reason}", markup=False, soft_wrap=True)
    sys.exit(bool(wrong))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--graphs", type=int, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first model")
    parser.add_argument("--target", default=",".join(TARGETS), metavar="NAME,...", help="of %(default)s")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument(
        "--full", action="store_true", help="compile for Wasm as users do: several times the time"
    )
    parser.add_argument("--whole", action="store_true", help="do not make smaller what is wrong")
    parser.add_argument("--again", type=Path, metavar="FILE", help="judge a model that was written before")
    asked = parser.parse_args()
    asked.target = asked.target.split(",")
    if set(asked.target) - set(TARGETS):
        parser.error(f"targets {asked.target}: there are {', '.join(TARGETS)}")
    return asked


def judged(
    names: Sequence[str], targets: Sequence[str], processes: int, console: Console, full: bool
) -> list[Verdict]:
    """What each model comes to on each target."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    verdicts = []
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(names) * len(targets))
        for verdict in verdicts_of(names, targets, processes, full):
            verdicts.append(verdict)
            if verdict.outcome.status == "failed":
                told = f"{verdict.target} {verdict.test}: {verdict.outcome.reason}"
                progress.console.print(told, markup=False, soft_wrap=True)
            progress.update(task, advance=1, description=f"{verdict.target} {verdict.test}")
    return verdicts


def verdicts_of(
    names: Sequence[str], targets: Sequence[str], processes: int = 2, full: bool = False
) -> Iterator[Verdict]:
    """Verdicts as they come."""
    engines: dict[str, Making] = {}
    if NUMPY in targets:
        engines[NUMPY] = Planned, ()
    devices = [t for t in targets if t != NUMPY]
    if devices:
        engines["packs"] = Fuzzed, (devices, full)
    batches = [list(names[i : i + BATCH]) for i in range(0, len(names), BATCH)]
    return judge([Job(engine, b) for b in batches for engine in engines], engines, processes)


def _state(verdict: Verdict) -> str:
    if verdict.outcome.reason == UNDECIDED:
        return UNDECIDED
    return {"passed": "agree", "failed": "mismatch", "skipped": "refused"}[verdict.outcome.status]


def _tell(names: Sequence[str], verdicts: Sequence[Verdict], console: Console) -> None:
    """Tables of targets, of operators and of reasons."""
    states: dict[str, Counter[str]] = defaultdict(Counter)
    ops: dict[str, dict[str, int]] = defaultdict(Counter)
    reasons: Counter[tuple[str, str]] = Counter()
    for verdict in verdicts:
        state = _state(verdict)
        states[verdict.target][state] += 1
        if state == "refused":
            reasons[verdict.target, _general(verdict.outcome.reason)] += 1
        if state == "agree":
            for op in operators(model(verdict.test).proto.graph):
                ops[op][verdict.target] += 1
    table = Table(box=None)
    for heading in ("target", *STATES, "operators"):
        table.add_column(heading, justify="left" if heading == "target" else "right")
    for target, counted in states.items():
        covered = sum(target in counts for counts in ops.values())
        table.add_row(target, *(str(counted[s]) for s in STATES), str(covered))
    console.print(table)
    for (target, reason), count in reasons.most_common():
        console.print(f"{count:5} refused on {target}: {reason}", markup=False, soft_wrap=True)
    seldom = sorted(ops, key=lambda op: sum(ops[op].values()))
    console.print(" ".join(f"{op}:{max(ops[op].values())}" for op in seldom), markup=False)


def _general(reason: str) -> str:
    """A reason without names and sizes."""
    return re.sub(r"'\w+'|\(.*?\)|\b[sxvwn]?\d+\b", "_", reason).split(". ")[0]


def smallest(made: Made, target: str, full: bool) -> Made:
    """A wrong model made smaller; wrong are mismatches, and errors of the same type."""
    kind = _outcome(made, target, full)

    def failing(smaller: Made) -> bool:
        return _outcome(smaller, target, full) == kind

    return shrink.shrunk(made, failing) if kind else made


def _outcome(made: Made, target: str, full: bool) -> str:
    """What is wrong: nothing, `elements`, or an error's type."""
    (outcome,) = outcomes(made, [target], full)
    if outcome.status != "failed":
        return ""
    head = outcome.reason.split(":")[0]
    return head if head.endswith("Error") else "elements"


def outcomes(made: Made, targets: Sequence[str], full: bool = False) -> list[Outcome]:
    """What a model comes to on each target, in this process."""
    case = case_of("fuzz_again", made)
    found = []
    for target in targets:
        engine = Planned() if target == NUMPY else Fuzzed([target], full)
        found += [v.outcome for v in engine.judge([case]) if isinstance(v, Verdict)]
    return found


def _again(made: Made, targets: Sequence[str], console: Console, full: bool) -> int:
    found = outcomes(made, targets, full)
    for target, outcome in zip(targets, found, strict=True):
        console.print(f"{target}: {outcome.status} {outcome.reason}", markup=False, soft_wrap=True)
    return any(o.status == "failed" for o in found)


if __name__ == "__main__":
    main()
