"""Damage ONNX's own test models and small packs for some time, read each, and tell what became of them.

python -m tests.hostile [--minutes M] [--seed N] [--compile N] [--gpu N] [--summary FILE]

Inputs that crash, hang, take too much memory, leave files behind or raise anything but a PyRuntimeError are
faults; one of each is kept in build/hostile/. --compile N writes a pack of every N-th model, where others are
only lowered, --gpu N runs every N-th pack on WebGPU instead of Wasm. The summary is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.conformance.suite import cases
from tests.hostile.damage import damaged
from tests.hostile.findings import Findings, Input, keep
from tests.hostile.packs import damaged as damaged_pack
from tests.hostile.packs import originals
from tests.hostile.worker import SECONDS, Task, Work, Worker

KEPT = Path(__file__).resolve().parents[2] / "build" / "hostile"
LARGEST = 1 << 20


def inputs(seed: int) -> Iterator[bytes]:
    """Damaged models without end."""
    for given in models(seed):
        yield given.task.files["model.onnx"]


def models(seed: int, every: int = 0) -> Iterator[Input]:
    """Damaged models without end, of which some are converted whole."""
    draw = random.Random(seed)
    originals = [c.model for c in cases() if len(c.model) <= LARGEST]
    number = 0
    while True:
        way, data = damaged(draw.choice(originals), draw)
        number += 1
        work: Work = "convert" if every and number % every == 0 else "lower"
        yield Input(f"model: {way}", Task(work, {"model.onnx": data}), 120 if work == "convert" else SECONDS)


def packs(seed: int, folder: Path, every: int = 0) -> Iterator[Input]:
    """Damaged packs without end, of which some run on WebGPU; `folder` is where the whole ones are made."""
    draw = random.Random(seed)
    found = originals(folder)
    number = 0
    while True:
        made = damaged_pack(found, draw)
        number += 1
        work: Work = "webgpu" if every and number % every == 0 and made.gpu else "wasm"
        yield Input(f"pack: {made.kind}", Task(work, made.files, made.own), SECONDS, made.fields)


def hunt(given: Iterator[Input], seconds: float, progress: Progress) -> Findings:
    """What became of the inputs of some time."""
    bar = progress.add_task("hostile inputs", total=seconds)
    found = Findings()
    worker = Worker(traced=True)
    begun = time.monotonic()
    for number, each in enumerate(given):
        passed = time.monotonic() - begun
        progress.update(
            bar, completed=passed, description=f"{number:,} inputs, {found.faults.total()} faults"
        )
        if passed > seconds:
            break
        outcome = worker.do(each.task, each.seconds)
        if found.add(each, outcome):
            where = keep(each, outcome.reason, KEPT)
            progress.console.print(f"{outcome.reason}\n    {where}", markup=False)
    worker.close()
    return found


def alternating(*sources: Iterator[Input]) -> Iterator[Input]:
    """One of each in turn."""
    while True:
        for source in sources:
            yield next(source)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", type=int, default=0, metavar="N")
    parser.add_argument("--gpu", type=int, default=0, metavar="N")
    parser.add_argument("--summary", type=Path, default=KEPT / "summary.json", metavar="FILE")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder, Progress(console=console) as progress:
        given = alternating(
            models(options.seed, options.compile), packs(options.seed, Path(folder), options.gpu)
        )
        found = hunt(given, options.minutes * 60, progress)
    found.print(console)
    options.summary.parent.mkdir(parents=True, exist_ok=True)
    told = {"seed": options.seed, "minutes": options.minutes, **found.summary()}
    options.summary.write_text(json.dumps(told, indent=1) + "\n")
    raise SystemExit(bool(found.faults))


if __name__ == "__main__":
    main()
