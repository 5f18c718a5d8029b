"""Asks the converter what keeps a model from being converted, for `pyruntime check`, and shows it."""

from __future__ import annotations

import dataclasses
import importlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from pyruntime.cli import look
from pyruntime.cli.progress import ConversionProgress

NAMES = 3  # of nodes, shown of each problem
NAME = 40  # characters of a node's name
TARGETS: Mapping[str, str] = {
    "wasm": "wasm",
    "webgpu": "webgpu",
    "webgpu-strict": "webgpu with every step on the GPU",
}


def check(
    model: Path, symbols: Mapping[str, int], elements: Mapping[str, Any], values: Mapping[str, Any]
) -> Any:
    """What was found, a `pyruntime_converter.checker.Checked`. Raises PyRuntimeError as `checker.check`."""
    # by name: the converter stands above this package
    checker = importlib.import_module("pyruntime_converter.checker")
    options = importlib.import_module("pyruntime_converter.options")
    with ConversionProgress(look.stderr()) as progress:
        return checker.check(model, options.Told(symbols, elements, values), progress)


def to_dict(found: Any) -> dict[str, Any]:
    """Plain containers, for JSON."""
    told: dict[str, Any] = dataclasses.asdict(found)
    for problem in told["problems"]:
        problem["count"] = len(problem["nodes"])
        problem["certain"] = not problem["follows"]
    return told


def show(found: Any, asked: Sequence[str], console: Console) -> None:
    """Print the verdict, a row for what is missing of each operator, and what stays open."""
    good = all(found.targets[t] for t in asked)
    facts = f"  {found.format} opset {found.opset}" if found.opset else f"  {found.format}".rstrip()
    console.print(
        Text.assemble(look.mark("ok" if good else "broken"), " ", (found.model, look.STRONG), facts)
    )
    verdicts = Text()
    for target, name in TARGETS.items():
        verdicts.append_text(look.mark("ok" if found.targets[target] else "missing"))
        verdicts.append(f" {name}   ")
    look.print_section(console, verdicts)
    if found.problems:
        look.print_section(console, _problems(found.problems))
    elif found.kernels:
        nodes, calls = f"{found.nodes:,} nodes", f"{found.kernels:,} kernel calls"
        look.print_section(console, f"{nodes} → {calls}; nothing is missing")
    if found.unjudged:
        look.print_section(console, _unjudged(found.unjudged))
    for note in found.notes:
        look.print_section(console, Text.assemble(look.mark("limited"), " ", note))


def _problems(problems: Sequence[Any]) -> Any:
    table = look.table("operator", "count", "dtype", "not for", "why, where and what to do", right=("count",))
    for problem in problems:
        certain = not problem.follows
        told = Text(problem.reason)
        if not certain:
            told.append(f" (perhaps only since {', '.join(problem.follows)} cannot be converted)", "yellow")
        told.append(f"\n{_names(problem.nodes)}", look.QUIET)
        if problem.remedy:
            told.append(f"\n→ {problem.remedy}", look.NAME)
        every = len(problem.targets) == len(TARGETS)
        table.add_row(
            Text(problem.op, look.NAME),
            str(len(problem.nodes)),
            ", ".join(problem.dtypes),
            "any target" if every else "\n".join(problem.targets),
            told,
        )
    return table


def _unjudged(unjudged: Sequence[Any]) -> Any:
    """How many nodes of each operator stay open, and why."""
    table = look.table("open", "count", "why, and where", right=("count",))
    counted = Counter((u.op, u.reason) for u in unjudged)
    for (op, reason), count in counted.items():
        names = [u.node for u in unjudged if (u.op, u.reason) == (op, reason)]
        told = Text.assemble(reason, (f"\n{_names(names)}", look.QUIET))
        table.add_row(Text(op, look.NAME), str(count), told)
    return table


def _names(nodes: Sequence[str]) -> str:
    """The first names, each shortened at its begin."""
    shown = [n if len(n) <= NAME else f"…{n[1 - NAME :]}" for n in nodes[:NAMES]]
    return ", ".join(shown) + (f" and {len(nodes) - NAMES} more" if len(nodes) > NAMES else "")
