"""The digit demo: trains, exports and converts the network, and lays out its page."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from rich.console import Console
from rich.table import Table

import pyruntime
from demo_site.checks import Checks
from demo_site.demo import RUNTIME, DemoError
from demo_site.digits.check import check_page
from demo_site.digits.export import disagreement, to_onnx
from demo_site.digits.network import Parameters, probabilities
from demo_site.digits.training import DEFAULTS, Settings, accuracy, load_digits, train
from demo_site.stages import stages

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WEB = Path(__file__).parent / "web"
PACK = "digits.pack"
LEAST_ACCURACY = 0.97
MOST_DISAGREEMENT = 1e-5


class Digits:
    """A visitor draws a digit; a network reads it on both devices."""

    name = "digits"
    title = "Draw a digit"
    card = Path(__file__).with_name("card.html")

    def __init__(self, settings: Settings = DEFAULTS, least_accuracy: float = LEAST_ACCURACY) -> None:
        self._settings = settings
        self._least = least_accuracy
        self._digits = load_digits()
        self._parameters: Parameters | None = None

    def build(self, site: Path, console: Console) -> None:
        """Write the page and its pack; a bar while it works, tables in the end.

        Raises:
            DemoError: the network reads too few of the digits that it was not trained on, or onnxruntime
                disagrees with it.
            PyRuntimeError: the model could not be converted.
        """
        folder = site / self.name
        shutil.copytree(WEB, folder)
        with stages(console) as stage, tempfile.TemporaryDirectory() as scratch:
            tell = stage("train")
            parameters = train(self._digits, self._settings, tell)
            tell = stage("export")
            model = Path(scratch) / "digits.onnx"
            onnx.save(to_onnx(parameters), model)
            tell(1)
            tell = stage("convert")
            report = pyruntime.convert(model, folder / PACK, targets=("webgpu", "wasm"))
            tell(1)
            images, labels = self._digits.test_images, self._digits.test_labels
            error = disagreement(model, images, probabilities(parameters, images))
        share = accuracy(parameters, images, labels)
        facts = page_facts(site / "js", parameters, share)
        (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
        console.print(files_table(report, facts["runtime"]))
        console.print(f"{facts['parameters']:,} parameters read {share:.1%} of the digits not trained on.")
        if error is None:
            console.print("onnxruntime is not installed: not compared with it.")
        else:
            console.print(f"onnxruntime differs from the trained network by at most {error:.1e}.")
        if share < self._least:
            raise DemoError(f"the network reads {share:.1%} of unseen digits, {self._least:.0%} are wanted")
        if error is not None and not error <= MOST_DISAGREEMENT:
            raise DemoError(f"onnxruntime and the trained network differ by {error:.1e}")
        self._parameters = parameters

    def check(self, browser: Browser, address: str, site: Path, checks: Checks) -> None:
        """Use the page as a visitor would; see `check_page`."""
        if self._parameters is None:
            raise DemoError("build the digit demo before checking it")
        check_page(browser, address, site / self.name, self._parameters, self._digits.test_images, checks)


def page_facts(runtime: Path, parameters: Parameters, share: float) -> dict[str, Any]:
    """What the page tells of itself: sizes of the JavaScript in bytes, as files and compressed."""
    needed = {name: (runtime / name).read_bytes() for names in RUNTIME.values() for name in names}
    return {
        "accuracy": share,
        "parameters": sum(p.size for p in parameters),
        "runtime": {device: sum(len(needed[name]) for name in names) for device, names in RUNTIME.items()},
        "compressed": sum(len(gzip.compress(code, 9)) for code in needed.values()),
    }


def files_table(report: pyruntime.Report, runtime: dict[str, int]) -> Table:
    """Files and bytes of the pack and of the runtime."""
    table = Table("file", "bytes", title="What the page loads", title_justify="left")
    table.columns[1].justify = "right"
    for name, size in report.files.items():
        table.add_row(f"{PACK}/{name}", f"{size:,}")
    for device, size in runtime.items():
        table.add_row(f"JavaScript runtime for {device}", f"{size:,}")
    return table
