"""Compares a model on a device with NumPy for `pyruntime diff`, and shows where the two part."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from pyruntime.cli import look
from pyruntime.cli.execution import feeds_for
from pyruntime.cli.feeds import parse_sizes
from pyruntime.cli.progress import Waiting
from pyruntime.runtime.tensors import TensorSpec

AROUND = 3  # steps shown before and after the first that diverges


@dataclass(frozen=True)
class Request:
    """What the command line asks for; fields as its options."""

    path: Path
    inputs: tuple[str, ...] = ()
    seed: int = 0
    symbols: tuple[str, ...] = ()
    device: str = "wasm"
    tolerance: float = 1e-4


def compare(request: Request) -> list[Any]:
    """Each step, as `pyruntime_converter.differ.Compared`. Raises PyRuntimeError as `differ.diff` does."""
    # by name: the converter stands above this package
    differ = importlib.import_module("pyruntime_converter.differ")

    def feeder(specs: Sequence[TensorSpec]) -> Mapping[str, Any]:
        return feeds_for(specs, {}, request.inputs, parse_sizes(request.symbols), request.seed)[0]

    steps = []
    with Waiting(look.stderr(), "converting") as waiting:
        for step in differ.diff(request.path, request.device, feeder, request.tolerance):
            steps.append(step)
            waiting(f"{len(steps)} steps compared, the last {step.step}")
    return steps


def first(steps: Sequence[Any]) -> int | None:
    """The number of the first step that diverges, if any."""
    return next((i for i, step in enumerate(steps) if step.diverges), None)


def to_dict(request: Request, steps: Sequence[Any]) -> dict[str, Any]:
    """Plain containers, for JSON; what is not finite becomes a string."""
    number = first(steps)
    return {
        "model": str(request.path),
        "device": request.device,
        "tolerance": request.tolerance,
        "first": None if number is None else _plain(steps[number]),
        "steps": [_plain(step) for step in steps],
    }


def _plain(step: Any) -> dict[str, Any]:
    told = dataclasses.asdict(step)
    finite = {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in told.items()}
    return {**finite, "diverges": step.diverges}


def show(request: Request, steps: Sequence[Any], console: Console) -> None:
    """Print the verdict, and the steps around the first that diverges; around the worst where none does."""
    number = first(steps)
    where = f"  {request.device}, {len(steps)} steps"
    name = (str(request.path), look.STRONG)
    console.print(Text.assemble(look.mark("ok" if number is None else "broken"), " ", name, where))
    if not steps:
        return
    middle = max(range(len(steps)), key=lambda i: steps[i].worst) if number is None else number
    table = look.table("step", "nodes", "tensor", "worst", "wrong", right=("worst", "wrong"))
    for step in steps[max(middle - AROUND, 0) : middle + AROUND + 1]:
        table.add_row(
            Text(step.step, style=look.NAME),
            ", ".join(step.nodes),
            f"{step.tensor} ({step.dtype})",
            f"{step.worst:.1e}",
            Text(f"{step.wrong} of {step.elements}", style="red" if step.diverges else ""),
        )
    look.print_section(console, table)
    look.print_section(console, Text(_verdict(request, steps, number)))


def _verdict(request: Request, steps: Sequence[Any], number: int | None) -> str:
    if number is None:
        worst = max(step.worst for step in steps)
        return (
            f"no step differs by more than {request.tolerance:g} of its tensor's magnitude; worst {worst:.1e}"
        )
    step = steps[number]
    return (
        f"first to differ: {' + '.join(step.nodes) or step.step}, element {step.position} of {step.tensor}:"
        f" {step.got:.7g} instead of {step.expected:.7g}"
    )
