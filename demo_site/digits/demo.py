"""The digit demo: trains, exports and converts the network, and lays out its page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from demo_site.checks import Checks
from demo_site.demo import DemoError
from demo_site.digits.check import check_page
from demo_site.digits.export import to_onnx
from demo_site.digits.network import Parameters, probabilities
from demo_site.digits.training import DEFAULTS, Settings, accuracy, load_digits, train
from demo_site.packing import disagreement, files_table, pack_model, runtime_bytes, tell_disagreement
from demo_site.stages import stages

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WEB = Path(__file__).parent / "web"
PACK = "digits.pack"
LEAST_ACCURACY = 0.97


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
        with stages(console) as stage:
            tell = stage("train")
            parameters = train(self._digits, self._settings, tell)
            tell = stage("convert")
            model = to_onnx(parameters)
            report = pack_model(model, folder / PACK)
            tell(1)
        images, labels = self._digits.test_images, self._digits.test_labels
        expected = {"probabilities": probabilities(parameters, images)}
        error = disagreement(model, {"image": images[:, None]}, expected)
        share = accuracy(parameters, images, labels)
        facts = page_facts(site / "js", parameters, share)
        (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
        console.print(files_table(report, PACK, facts["runtime"]))
        console.print(f"{facts['parameters']:,} parameters read {share:.1%} of the digits not trained on.")
        tell_disagreement(error, console)
        if share < self._least:
            raise DemoError(f"the network reads {share:.1%} of unseen digits, {self._least:.0%} are wanted")
        self._parameters = parameters

    def check(self, browser: Browser, address: str, site: Path, checks: Checks) -> None:
        """Use the page as a visitor would; see `check_page`."""
        if self._parameters is None:
            raise DemoError("build the digit demo before checking it")
        check_page(browser, address, site / self.name, self._parameters, self._digits.test_images, checks)


def page_facts(runtime: Path, parameters: Parameters, share: float) -> dict[str, Any]:
    """What the page tells of itself: sizes of the JavaScript in bytes, as files and compressed."""
    by_device, compressed = runtime_bytes(runtime)
    return {
        "accuracy": share,
        "parameters": sum(p.size for p in parameters),
        "runtime": by_device,
        "compressed": compressed,
    }
