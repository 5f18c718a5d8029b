"""Damage ONNX's own test models for some time, convert each, and tell what became of them.

python -m tests.hostile [--minutes M] [--seed N] [--compile N]

Inputs that crash, hang, take too much memory, leave files behind or raise anything but a PyRuntimeError are
faults; each is kept in build/hostile/. --compile N also writes a pack of every N-th input that lowers.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.conformance.suite import cases
from tests.hostile.damage import damaged
from tests.hostile.worker import Worker

KEPT = Path(__file__).resolve().parents[2] / "build" / "hostile"
LARGEST = 1 << 20


def inputs(seed: int) -> Iterator[bytes]:
    """Damaged models without end."""
    draw = random.Random(seed)
    models = [c.model for c in cases() if len(c.model) <= LARGEST]
    while True:
        yield damaged(draw.choice(models), draw)


def hunt(
    seed: int, seconds: float, every: int, progress: Progress
) -> tuple[Counter[str], list[tuple[bytes, str]]]:
    """What became of the inputs of some time, counted, and the faults with their inputs."""
    task = progress.add_task("hostile models", total=seconds)
    found: Counter[str] = Counter()
    faults: list[tuple[bytes, str]] = []
    worker = Worker()
    begun = time.monotonic()
    for number, data in enumerate(inputs(seed)):
        passed = time.monotonic() - begun
        progress.update(task, completed=passed, description=f"{number:,} models, {len(faults)} faults")
        if passed > seconds:
            break
        outcome = worker.convert(data)
        if outcome.kind == "converted" and every and number % every == 0:
            outcome = worker.convert(data, compile_=True, seconds=120)
        found[outcome.kind] += 1
        if outcome.kind == "fault":
            faults.append((data, outcome.reason))
    worker.close()
    return found, faults


def keep(data: bytes, reason: str) -> Path:
    """A fault's input, and why it is one, in build/hostile/."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{hashlib.sha256(data).hexdigest()[:12]}.onnx"
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(f"{reason}\n")
    return path


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", type=int, default=0, metavar="N")
    options = parser.parse_args()
    console = Console()
    with Progress(console=console) as progress:
        found, faults = hunt(options.seed, options.minutes * 60, options.compile, progress)
    table = Table("became", "models", title=f"{found.total():,} damaged models, seed {options.seed}")
    for kind, count in found.most_common():
        table.add_row(kind, f"{count:,}")
    console.print(table)
    alike: dict[str, list[tuple[bytes, str]]] = {}
    for data, reason in faults:
        alike.setdefault(reason.strip().splitlines()[-1], []).append((data, reason))
    for last, members in alike.items():
        console.print(f"{len(members)} x {last}\n    {keep(*members[0])}", markup=False)
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
