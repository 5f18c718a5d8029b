"""What `pyruntime convert` prints about a pack: tensors, files, kernels, notes."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pyruntime.cli import look
from pyruntime.cli.sizes import value_of
from pyruntime.pack.reader import Pack
from pyruntime.pack.report import KernelStep, Report
from pyruntime.runtime.bind import spec_of

LARGEST = 6  # kernels shown
BAR = 16  # characters of the longest bar


def show(report: Report, console: Console) -> None:
    """Print the report, and what the pack itself says of its inputs, outputs and files."""
    files = _gzipped(report)
    with Pack(report.path) as pack:
        entries = pack.manifest.entries
    console.print(_headline(report))
    console.print(_facts(report))
    for entry in entries:
        title = f"Entry {entry.name}" if len(entries) > 1 else ""
        table = look.table("tensor", "name", "dtype", "shape", title=title)
        for kind, specs in (("input", entry.inputs), ("output", entry.outputs)):
            for spec in map(spec_of, specs):
                shape = Text(look.shape_text(spec.shape))
                table.add_row(kind, Text(spec.name, style=look.NAME), spec.dtype, shape)
        console.print(table)
    console.print(_files(report, files))
    if report.kernels:
        console.print(_kernels(report))
    for note in report.notes:
        console.print(Text.assemble(look.mark("limited"), " ", note))


def _headline(report: Report) -> Text:
    size = sum(report.files.values())
    return Text.assemble(
        look.mark("ok"),
        " ",
        (report.path, "bold"),
        f"  {look.bytes_text(size)}, in {look.seconds_text(report.seconds)}",
    )


def _facts(report: Report) -> Padding:
    """One or two lines: what was read, and what became of it."""
    at_one = dict.fromkeys(report.symbols, 1)
    operations = sum(value_of(k.operations, at_one) for k in report.kernels)
    facts = [
        f"{report.source_format} opset {report.opset}" if report.opset else report.source_format,
        f"{report.nodes} nodes",
        f"{len(report.kernels)} kernel calls",
        *([f"{report.dispatches} GPU dispatches"] if "webgpu" in report.targets else []),
        f"{look.count_text(operations)} operations{_sizes(report)}",
        f"{look.bytes_text(report.weights_bytes)} of weights",
        f"for {' and '.join(report.targets)}",
    ]
    return Padding(Text(" · ".join(facts), style=look.QUIET), (0, 0, 0, 2))


def _sizes(report: Report) -> str:
    return f" at {' = '.join(report.symbols)} = 1" if report.symbols else ""


def _gzipped(report: Report) -> Mapping[str, int]:
    """Bytes of each file after gzip, as a web server sends it; weights hardly shrink and are left out."""
    folder = Path(report.path)
    if not folder.is_dir():
        return {}
    names = (n for n in report.files if not n.endswith(".safetensors"))
    return {n: len(gzip.compress((folder / n).read_bytes(), 9, mtime=0)) for n in names}


def _files(report: Report, gzipped: Mapping[str, int]) -> Table:
    table = look.table("file", "bytes", "gzip", right=("bytes", "gzip"))
    for name, size in sorted(report.files.items()):
        table.add_row(Text(name), f"{size:,}", f"{gzipped[name]:,}" if name in gzipped else "")
    return table


def _kernels(report: Report) -> Table:
    """The kernels with the most operations, each with its share."""
    at_one = dict.fromkeys(report.symbols, 1)
    counts = [(value_of(k.operations, at_one), k) for k in report.kernels]
    total = sum(count for count, _ in counts) or 1
    largest = sorted(counts, key=lambda c: -c[0])[:LARGEST]
    templates = Counter(k.template for k in report.kernels)
    made = ", ".join(f"{n} {template}" for template, n in templates.most_common())
    table = look.table(
        "largest kernels", "operations", "share", "", "nodes of the model", right=("operations", "share")
    )
    for count, kernel in largest:
        bar = "━" * max(round(BAR * count / max(largest[0][0], 1)), 1 if count else 0)
        table.add_row(
            Text(kernel.step, style=look.NAME),
            look.count_text(count),
            f"{100 * count / total:.0f} %",
            Text(bar, style="green"),
            Text(_origins(kernel), style=look.QUIET),
        )
    table.caption = made
    table.caption_justify = "left"
    table.caption_style = look.QUIET
    return table


def _origins(kernel: KernelStep) -> str:
    shown = ", ".join(kernel.origins[:3])
    return shown + (f" and {len(kernel.origins) - 3} more" if len(kernel.origins) > 3 else "")
