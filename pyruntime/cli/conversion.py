"""What `pyruntime convert` prints about a pack: tensors, files, kernels, notes."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pyruntime.cli import look
from pyruntime.cli.sizes import value_of
from pyruntime.pack.reader import Pack
from pyruntime.pack.report import KernelStep, Report
from pyruntime.pack.schema import Entry, State
from pyruntime.runtime.bind import spec_of

LARGEST = 6  # kernels shown
OPS = 3  # ops shown of a kernel
STEP = 32  # characters of a kernel's name
BAR = 12  # characters of the longest bar


def show(report: Report, console: Console) -> None:
    """Print the report, and what the pack itself says of its inputs and outputs."""
    with Pack(report.path) as pack:
        entries, states = pack.manifest.entries, pack.manifest.state
    size = look.bytes_text(sum(report.files.values()))
    took = look.seconds_text(report.seconds)
    headline = Text.assemble(look.mark("ok"), " ", (report.path, look.STRONG), f"  {size}, in {took}")
    console.print(headline)
    console.print(Padding(Text(_facts(report), style=look.QUIET), (0, 0, 0, 2), expand=False))
    for entry in entries:
        title = [Text(f"entry {entry.name}", style=look.STRONG)] if len(entries) > 1 else []
        look.print_section(console, *title, _tensors(entry, [states[c.state] for c in entry.state]))
    look.print_section(console, _files(report))
    if report.kernels:
        look.print_section(console, _kernels(report))
    if report.quantized or report.unquantized:
        look.print_section(console, _quantized(report))
    if report.host_steps:
        look.print_section(console, _on_host(report))
    for note in report.notes:
        look.print_section(console, Text.assemble(look.mark("limited"), " ", note))


def _facts(report: Report) -> str:
    """What was read, and what became of it."""
    source = f"{report.source_format} opset {report.opset}" if report.opset else report.source_format
    operations = sum(value_of(k.operations, _ones(report)) for k in report.kernels)
    at = f" at {' = '.join(report.symbols)} = 1" if report.symbols else ""
    made = [
        f"{_count(report.nodes, 'node')} → {_count(len(report.kernels), 'kernel call')}",
        *([_count(report.dispatches, "GPU dispatch", "es")] if "webgpu" in report.targets else []),
        f"{look.count_text(operations)} operations{at}",
    ]
    weights = look.bytes_text(report.weights_bytes)
    return f"{source} · {weights} of weights · for {' and '.join(report.targets)}\n{' · '.join(made)}"


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number} {what}{'' if number == 1 else plural}"


def _ones(report: Report) -> Mapping[str, int]:
    """The sizes at which operations are counted."""
    return dict.fromkeys(report.symbols, 1)


def _tensors(entry: Entry, states: Sequence[State]) -> Table:
    table = look.table("tensor", "name", "dtype", "shape")
    for kind, specs in (("input", entry.inputs), ("output", entry.outputs)):
        for spec in map(spec_of, specs):
            shape = Text(look.shape_text(spec.shape))
            table.add_row(kind, Text(spec.name, style=look.NAME), spec.dtype, shape)
    for told in entry.lists:
        holds = "absent" if told.length is None else _count(told.length, "tensor")
        table.add_row(told.of.removesuffix("s"), Text(told.name, style=look.NAME), "list", holds)
    for state in states:
        sizes = [f"up to {d}" if a == state.axis else d for a, d in enumerate(state.shape)]
        shape = Text(look.shape_text(sizes))
        table.add_row("state", Text(state.name, style=look.NAME), state.dtype.value, shape)
    return table


def _files(report: Report) -> Table:
    """Sizes as stored and as a web server sends them; weights hardly shrink, so they are not compressed."""
    table = look.table("file", "bytes", "gzip", right=("bytes", "gzip"))
    folder = Path(report.path)
    sent = dict(report.files)
    for name, size in sorted(report.files.items()):
        if folder.is_dir() and not name.endswith(".safetensors"):
            sent[name] = len(gzip.compress((folder / name).read_bytes(), 9, mtime=0))
        table.add_row(Text(name), f"{size:,}", f"{sent[name]:,}" if sent[name] != size else "")
    totals = (f"{sum(sizes.values()):,}" for sizes in (report.files, sent))
    table.add_row("all", *totals, style=look.STRONG)
    return table


def _quantized(report: Report) -> Table:
    """How many nodes are in integers, and how many are not for each reason."""
    table = look.table("quantised", "nodes", right=("nodes",))
    table.add_row("in integers", str(len(report.quantized)))
    for reason, count in Counter(report.unquantized.values()).most_common():
        table.add_row(f"not: {reason}", str(count))
    return table


def _on_host(report: Report) -> Table:
    """What of a WebGPU pack runs on the CPU, and why."""
    table = look.table("on the CPU", "computes", "since")
    for step in report.host_steps:
        computes = Text(", ".join(step.origins), style=look.QUIET)
        table.add_row(Text(shortened(step.step), style=look.NAME), computes, step.reason)
    return table


def _kernels(report: Report) -> Table:
    """The kernels with the most operations, each with its share."""
    counts = [(value_of(k.operations, _ones(report)), k) for k in report.kernels]
    total = sum(count for count, _ in counts)
    largest = [c for c in sorted(counts, key=lambda c: -c[0])[:LARGEST] if c[0]]
    table = look.table(
        "largest kernels", "operations", "share", "", "computes", right=("operations", "share")
    )
    for count, kernel in largest:
        table.add_row(
            Text(shortened(kernel.step), style=look.NAME),
            look.count_text(count),
            f"{100 * count / total:.0f} %",
            Text("━" * max(round(BAR * count / largest[0][0]), 1), style="green"),
            Text(_computes(kernel), style=look.QUIET),
        )
    if len(counts) > len(largest):
        templates = Counter(k.template for k in report.kernels).most_common()
        of = ", ".join(f"{n} {template}" for template, n in templates)
        table.add_row(Text(f"of {of}", style=look.QUIET))
    return table


def shortened(step: str, most: int = STEP) -> str:
    """A step's name whose middle gives way, since nodes' names differ at their end: "conv …stage2/conv1"."""
    if len(step) <= most:
        return step
    template, _, name = step.partition(" ")
    return f"{template} …{name[-(most - len(template) - 2) :]}"


def _computes(kernel: KernelStep) -> str:
    """The ops of the model that a kernel computes, as "Conv + Relu"."""
    ops = [origin.partition(" ")[0] for origin in kernel.origins]
    shown = " + ".join(ops[:OPS])
    return shown + (f" + {len(ops) - OPS} more" if len(ops) > OPS else "")
