"""What `pyruntime inspect` prints: a pack's interface, files, steps, kernels and weights as tables."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pyruntime.cli import look
from pyruntime.cli.conversion import shortened
from pyruntime.cli.inspection.gather import File, Inspection, Program, readable
from pyruntime.cli.inspection.memory import Memory
from pyruntime.cli.inspection.programs import SHARE, SMALL, Plan, Step, Totals

STEPS, WEIGHTS = 60, 8  # rows shown unless all are asked for
NAME = 30  # characters of a step's name


def show(found: Inspection, console: Console, *, everything: bool) -> None:
    """Print the tables; the longest in part unless `everything` is asked for."""
    size = look.bytes_text(sum_of(found.files))
    console.print(Text.assemble(look.mark("ok"), " ", (found.path, look.STRONG), f"  {size}"))
    for line in facts(found):
        console.print(Padding(Text(line, style=look.QUIET), (0, 0, 0, 2), expand=False))
    for name, programs in by_entry(found.programs):
        named = [Text(f"entry {name}", style=look.STRONG)] if found.several else []
        look.print_section(console, *named, _interface(programs[0]))
        for note in sizes_refused(programs[0]):
            look.print_section(console, Text.assemble(look.mark("limited"), " ", note))
        for program in programs:
            _show_target(program, console, everything=everything)
    if found.kernels:
        look.print_section(console, _kernels(found))
    if found.modules:
        look.print_section(console, _modules(found))
    if found.weights:
        look.print_section(console, _weights(found, None if everything else WEIGHTS))
    look.print_section(console, _files(found.files))
    for note in found.notes:
        look.print_section(console, Text.assemble(look.mark("limited"), " ", note))


def _show_target(program: Program, console: Console, *, everything: bool) -> None:
    """Steps, sums and reasons of an entry on a target."""
    steps = program.plan.steps
    table = [_steps(program, None if everything else STEPS)] if steps else []
    look.print_section(console, Text(f"steps on {program.target}", style=look.STRONG), *table)
    look.print_section(console, *map(Text, summary(program)))
    for note in remarks(program):
        look.print_section(console, Text.assemble(look.mark("limited"), " ", note))
    if any(s.why for s in steps):
        look.print_section(console, _reasons(steps))


def by_entry(programs: Sequence[Program]) -> list[tuple[str, list[Program]]]:
    """The programs of each entry, by its name."""
    return [(name, [*found]) for name, found in itertools.groupby(programs, lambda p: p.name)]


def facts(found: Inspection) -> list[str]:
    """Where the pack comes from, and who reads it."""
    model = found.model
    source = f"{model['format']} opset {model['opset']}" if model["opset"] else str(model["format"])
    needs = f", requires {', '.join(found.requires)}" if found.requires else ""
    made = (
        f"{model['name']}, {source}, SHA-256 {model['sha256'][:12]}… · for {' and '.join(found.targets)}"
        f" · by {found.producer}"
    )
    return [
        made,
        f"pack format {found.format}{needs}; this version reads {readable()}",
    ]


def sum_of(files: Sequence[File]) -> int:
    """Bytes of all files."""
    return sum(f.bytes for f in files)


def shape_of(shape: Sequence[object]) -> str:
    """A shape as one reads it."""
    return look.shape_text(shape)


def size_text(size: int) -> str:
    """Bytes, short and whole."""
    return f"{look.bytes_text(size)} ({size:,} bytes)" if size >= 1000 else f"{size} bytes"


def ratio_text(value: int, base: int) -> str:
    """How many times as much."""
    return f"{value / base:.2f} times" if base else "beside"


def dispatches_text(program: Program) -> str:
    """How many dispatches, how many of them small, and what is left to the CPU; on Wasm how many steps."""
    totals, left = program.plan.totals, sum(bool(s.host) for s in program.plan.steps)
    if totals.dispatches is None:
        steps = sum(s.template != "control" for s in program.plan.steps)
        return f"{steps:,} step{'' if steps == 1 else 's'}"
    count = f"{totals.dispatches:,} dispatch{'' if totals.dispatches == 1 else 'es'}"
    host = f", and {left} step{'' if left == 1 else 's'} on the CPU" if left else ""
    return f"{count}, {totals.few:,} of them under {SMALL} workgroups{host}"


def bounds_text(totals: Totals) -> str:
    """Bytes beside the lower bounds."""
    if totals.bytes is None or totals.fused is None or totals.least is None:
        return "the pack does not tell the lower bounds"
    return (
        f"{ratio_text(totals.bytes, totals.fused)} the fused lower bound of {look.bytes_text(totals.fused)};"
        f" {look.bytes_text(totals.least)} are inputs, outputs and weights"
    )


def summary(program: Program) -> list[str]:
    """Sums over a run."""
    totals = program.plan.totals
    first = [dispatches_text(program)]
    if totals.operations is not None:
        first.append(f"{look.count_text(totals.operations)} operations")
    if program.symbols:
        first.append("at " + ", ".join(f"{n} = {v}" for n, v in program.symbols.items()))
    lines = [" · ".join(first)]
    if totals.dispatches and totals.operations and not small_steps(program.plan):
        lines.append(f"every step with over 1 % of the operations has {SMALL} workgroups or more")
    if totals.bytes is not None:
        lines.append(f"{look.bytes_text(totals.bytes)} read and written, {bounds_text(totals)}")
    if (held := program.memory) is not None:
        arena = sum(held.arenas)
        lines.append(
            f"{look.bytes_text(arena)} of memory, {ratio_text(arena, held.peak)} the"
            f" {look.bytes_text(held.peak)} that live at once at most{beside_text(held)}"
        )
    return lines


def beside_text(held: Memory) -> str:
    """How many steps read the arena that they write, if any."""
    steps = len(held.beside)
    read = "steps read the arena that they write" if steps > 1 else "step reads the arena that it writes"
    return f"; {steps} {read}" if steps else ""


def small_steps(plan: Plan) -> list[tuple[str, tuple[str, ...]]]:
    """Steps that do much in few workgroups, by what is to be said of them."""
    what = f"over 1 % of the operations in under {SMALL} workgroups"
    few = f"{what}, since each of {SMALL} would have fewer than {SHARE:,} operations"
    rows = f"{what}, since one walks through all steps of each row of the batch"
    templates = {s.name: s.template for s in plan.steps}
    told: dict[str, list[str]] = {}
    for name in plan.totals.tails:
        told.setdefault(rows if templates[name] == "recurrence" else few, []).append(name)
    idle = {what: plan.totals.small} if plan.totals.small else {}
    return [(text, tuple(names)) for text, names in (idle | told).items()]


def remarks(program: Program) -> list[str]:
    """What a reader of the numbers should know."""
    totals, made = program.plan.totals, []
    for what, names in small_steps(program.plan):
        made.append(f"{what}: {', '.join(shortened(name, NAME) for name in names)}")
    if not totals.exact:
        who = "data decide" if totals.dispatches is not None else "branches and loops decide"
        made.append(f"{who} what runs; in the sums each step counts once")
    if program.account is None:
        made.append("the pack does not tell what its steps read and why they end: convert the model anew")
    return made


def sizes_refused(program: Program) -> list[str]:
    """Why a run refuses these sizes, if it does."""
    return [f"a run refuses these sizes (give others by --symbol): {reason}" for reason in program.refused]


def _interface(program: Program) -> Table:
    sized = any(t.sizes is not None and shape_of(t.sizes) != shape_of(t.shape) for t in program.tensors)
    table = look.table("tensor", "name", "dtype", "shape", *(["at these sizes"] if sized else []))
    for tensor in program.tensors:
        more = ["" if tensor.sizes is None else shape_of(tensor.sizes)] if sized else []
        note = f"  {tensor.note}" if tensor.note else ""
        shape = Text.assemble(shape_of(tensor.shape), (note, look.QUIET))
        table.add_row(tensor.kind, Text(tensor.name, style=look.NAME), tensor.dtype, shape, *more)
    return table


def _steps(program: Program, most: int | None) -> Table:
    gpu = program.target == "webgpu"
    numbers = (*(["groups"] if gpu else []), "operations", "moved")
    table = look.table("step", "kernel", *numbers, "ends here since", right=numbers)
    steps = program.plan.steps
    for step in steps[:most]:
        again = "" if step.calls == 1 else " ×?" if step.calls is None else f" ×{step.calls}"
        group = step.dispatches[0] if step.dispatches else None
        count = group.count if group else None
        small = step.name in program.plan.totals.small
        groups = [Text("" if count is None else str(count), style="yellow" if small else "")] if gpu else []
        table.add_row(
            Text.assemble((shortened(step.name, NAME), look.NAME), (again, look.QUIET)),
            step.kernel,
            *groups,
            look.count_text(step.operations) if step.operations else "",
            "" if step.bytes is None else look.bytes_text(step.bytes),
            Text(_brief(step), style=look.QUIET),
        )
    if most is not None and len(steps) > most:
        table.add_row(Text(f"{len(steps) - most} more: --all", style=look.QUIET))
    return table


def _brief(step: Step) -> str:
    """A boundary in a word or two; the sentence stands below, and in the page."""
    if step.boundary == "readers":
        return f"{len(step.readers)} readers" if len(step.readers) > 1 else "several readers"
    return step.boundary


def _reasons(steps: Sequence[Step]) -> Table:
    counted = Counter((_brief(s) if s.boundary != "readers" else "readers", s.why) for s in steps if s.why)
    told = dict.fromkeys(brief for (brief, _), _ in counted.most_common())
    table = look.table("ends here since", "steps", "that is", right=("steps",))
    for brief in told:
        whys = [(why, n) for (b, why), n in counted.most_common() if b == brief]
        for i, (why, count) in enumerate(whys):
            table.add_row(brief if i == 0 else "", str(count), Text(why, style=look.QUIET))
    return table


def _kernels(found: Inspection) -> Table:
    numbers = ("bytes", "steps")
    table = look.table("shader", "key", "workgroup", "bindings", *numbers, right=numbers)
    for kernel in found.kernels:
        bindings = f"{len(kernel.bindings)} + {kernel.words} words"
        name = Text(kernel.name, style=look.NAME)
        table.add_row(name, kernel.key, kernel.workgroup, bindings, f"{kernel.bytes:,}", str(kernel.steps))
    total = (f"{sum(k.bytes for k in found.kernels):,}", str(sum(k.steps for k in found.kernels)))
    table.add_row("all", "", "", "", *total, style=look.STRONG)
    return table


def _modules(found: Inspection) -> Table:
    numbers = ("bytes", "functions", "code", "data")
    table = look.table("module", "requires", *numbers, right=numbers)
    for module in found.modules:
        counts = (module.bytes, module.functions, module.code, module.data)
        name = Text(module.file, style=look.NAME)
        table.add_row(name, ", ".join(module.requires) or "SIMD", *(f"{n:,}" for n in counts))
    return table


def _weights(found: Inspection, most: int | None) -> Table:
    table = look.table("weight", "dtype", "shape", "layout", "bytes", right=("bytes",))
    ordered = sorted(found.weights, key=lambda w: -w.bytes)
    for weight in ordered[:most]:
        name = Text(weight.name, style=look.NAME)
        table.add_row(name, weight.dtype, shape_of(weight.shape), weight.layout, f"{weight.bytes:,}")
    rest = [] if most is None else ordered[most:]
    if rest:
        table.add_row(
            Text(f"{len(rest)} more: --all", style=look.QUIET), "", "", "", f"{sum(w.bytes for w in rest):,}"
        )
    return table


def _files(files: Sequence[File]) -> Table:
    table = look.table("file", "bytes", "gzip", right=("bytes", "gzip"))
    for file in files:
        table.add_row(Text(file.name), f"{file.bytes:,}", "" if file.gzip is None else f"{file.gzip:,}")
    sent = sum(f.bytes if f.gzip is None else f.gzip for f in files)
    table.add_row("all", f"{sum_of(files):,}", f"{sent:,}", style=look.STRONG)
    return table
