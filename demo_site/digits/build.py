"""Trains, exports and converts the digit network, and lays out its page."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import pyruntime
from demo_site.digits.export import disagreement, to_onnx
from demo_site.digits.network import Array, Parameters, probabilities
from demo_site.digits.training import accuracy, load_digits, train

WEB = Path(__file__).parent / "web"
LEAST_ACCURACY = 0.97
MOST_DISAGREEMENT = 1e-5
CASES = 20


class Digit(NamedTuple):
    """An image that the network was not trained on, and what the network says of it."""

    image: Array
    label: int
    expected: Array


def build_digits(site: Path, console: Console) -> list[Digit]:
    """Write the page and its pack into `site`; a bar while it works, a table in the end.

    Raises:
        RuntimeError: the trained network is worse than it should be, or onnxruntime disagrees with it.
        PyRuntimeError: the model could not be converted.
    """
    digits = load_digits()
    columns = TextColumn("{task.description:<9}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress, tempfile.TemporaryDirectory() as folder:
        task = progress.add_task("train", total=1.0)
        parameters = train(digits, tell=lambda share: progress.update(task, completed=share))
        task = progress.add_task("export", total=1.0)
        model = Path(folder) / "digits.onnx"
        onnx.save(to_onnx(parameters), model)
        progress.update(task, completed=1)
        task = progress.add_task("convert", total=1.0)
        pack = site / "digits.pack"
        report = pyruntime.convert(model, pack)
        progress.update(task, completed=1)
        expected = probabilities(parameters, digits.test_images)
        error = disagreement(model, digits.test_images, expected)
    share = accuracy(parameters, digits.test_images, digits.test_labels)
    shutil.copytree(WEB, site, dirs_exist_ok=True)
    (site / "facts.json").write_text(json.dumps(_facts(site, report, share), indent=1))
    _show(console, report, parameters, share, error)
    if share < LEAST_ACCURACY:
        raise RuntimeError(f"the network knows {share:.1%} of unseen digits; {LEAST_ACCURACY:.0%} are wanted")
    if error is not None and error > MOST_DISAGREEMENT:
        raise RuntimeError(f"onnxruntime and the trained network differ by {error:.1e}")
    chosen = zip(digits.test_images[:CASES], digits.test_labels[:CASES], expected[:CASES], strict=True)
    return [Digit(image, int(label), wanted) for image, label, wanted in chosen]


def _facts(site: Path, report: pyruntime.Report, share: float) -> dict[str, float]:
    """What the page tells of itself; bytes as they cross the network, compressed."""

    def compressed(*files: Path) -> int:
        return sum(len(gzip.compress(file.read_bytes(), 9)) for file in files)

    return {
        "accuracy": share,
        "runtimeBytes": compressed(*sorted((site / "js").glob("*.js"))),
        "weightsBytes": report.weights_bytes,
    }


def _show(
    console: Console, report: pyruntime.Report, parameters: Parameters, share: float, error: float | None
) -> None:
    table = Table("file of the pack", "bytes", title="digits.pack", title_justify="left")
    table.columns[1].justify = "right"
    for name, size in report.files.items():
        table.add_row(name, f"{size:,}")
    console.print(table)
    console.print(
        f"{sum(int(np.size(p)) for p in parameters):,} parameters, {share:.1%} of unseen digits right"
    )
    agrees = "not installed" if error is None else f"differs from training by at most {error:.1e}"
    console.print(f"onnxruntime: {agrees}")
