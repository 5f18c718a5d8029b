"""Tunes a pack for `pyruntime tune`, and shows which steps have become faster."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

import pyruntime
from pyruntime.cli import look
from pyruntime.cli.conversion import shortened
from pyruntime.cli.convert import place_for
from pyruntime.cli.execution import feeder_for, is_pack
from pyruntime.cli.feeds import parse_sizes
from pyruntime.cli.progress import ConversionProgress, MeasuringProgress
from pyruntime.runtime import gpu_device
from pyruntime.runtime.bench.profile import Budget
from pyruntime.runtime.gpu_names import Identity
from pyruntime.runtime.tune import Tuning
from pyruntime.runtime.tune import tune as tune_pack

STEP = 34  # characters of a step's name
SHOWN = 40  # steps


@dataclass(frozen=True)
class Request:
    """What the command line asks for; fields as its options."""

    path: Path
    out: Path | None
    inputs: tuple[str, ...]
    seed: int
    symbols: tuple[str, ...]
    budget: Budget
    gpu: str
    force: bool


def execute(request: Request) -> tuple[Path, Tuning]:
    """Convert if need be, and tune; the pack, and what was found.

    Raises:
        typer.BadParameter: OUT is taken, or given for a pack; --as is no pair of names.
        InputError: inputs do not fit.
        PyRuntimeError: as `pyruntime.convert` and `runtime.tune.tune` raise it.
        OSError: a file cannot be read.
    """
    asked, path = parse_sizes(request.symbols), request.path
    gpu = _identity(request.gpu) if request.gpu else None
    if is_pack(path):
        if request.out is not None:
            raise typer.BadParameter("a pack is tuned where it is", param_hint="OUT")
    else:
        gpu_device.device()  # before all the work
        path = place_for(request.path, request.out, force=request.force)
        with ConversionProgress(look.stderr()) as progress:
            pyruntime.convert(request.path, path, progress=progress, tunable=True)

    feeder = feeder_for(request.inputs, asked, request.seed)
    with MeasuringProgress(look.stderr()) as bar:
        return path, tune_pack(path, feeder, request.budget, bar, sizes=asked, gpu=gpu)


def _identity(named: str) -> Identity:
    """The GPU that --as names."""
    vendor, slash, architecture = named.lower().partition("/")
    if not (vendor and slash and architecture):
        raise typer.BadParameter(
            f"{named!r}: expected VENDOR/ARCHITECTURE, as in apple/metal-3", param_hint="--as"
        )
    return Identity(vendor, architecture, "")


def to_dict(found: Tuning) -> dict[str, Any]:
    """Plain containers, for JSON."""
    return {
        "gpu": found.gpu._asdict(),
        "engine": found.engine,
        "clock": found.clock,
        "rounds": found.rounds,
        "symbols": dict(found.symbols),
        "before": found.before,
        "after": found.after,
        "stored": found.stored,
        "steps": [asdict(step) for step in found.steps],
    }


def show(path: Path, found: Tuning, console: Console) -> None:
    """Print what was tried, what has become faster, and for which GPU that is stored."""
    where = f"  {found.engine}{look.sizes_text(found.symbols)}"
    console.print(Text.assemble(look.mark("ok"), " ", (str(path), look.STRONG), where))
    if found.steps:
        numbers = ("default", "best", "tried", "refused")
        table = look.table("step", *numbers, "shader", right=numbers)
        for step in found.steps[:SHOWN]:
            table.add_row(
                Text(shortened(step.step, STEP), style=look.NAME),
                look.seconds_text(step.seconds),
                look.seconds_text(step.best) if step.shader else "",
                str(step.tried),
                str(step.refused or ""),
                Text(step.shader or "default", style="" if step.shader else look.QUIET),
            )
        look.print_section(console, table)
    look.print_section(console, *map(Text, summary(found)))
    if found.gpu.architecture:
        return
    note = (
        "browsers' name for this GPU is not known: pages run the defaults; --as VENDOR/ARCHITECTURE tells it"
    )
    look.print_section(console, Text.assemble(look.mark("limited"), " ", note))


def summary(found: Tuning) -> list[str]:
    """What has changed, and for whom."""
    if not found.steps:
        return ["no step that takes a part of the time that matters has another shader: the defaults stay"]
    if not found.stored:
        return [f"the defaults are best here, of {len(found.steps)} steps that matter"]
    names = " ".join(filter(None, (found.gpu.vendor, found.gpu.architecture))) or found.gpu.device
    gain = 100 * (1 - found.after / found.before)
    times = (
        f"all steps {look.seconds_text(found.before)} → {look.seconds_text(found.after)}, {gain:.0f} % less"
    )
    share = f"{found.stored} of {len(found.steps)} steps that matter"
    return [f"{times} · {share} · {found.rounds} rounds", f"stored for {names}"]
