"""The story demo: trains, exports and converts the writer, and lays out its page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from demo_site.checks import Checks
from demo_site.demo import DemoError
from demo_site.packing import (
    disagreement,
    files_table,
    pack_model,
    runtime_bytes,
    tell_disagreement,
    told_of_runtime,
)
from demo_site.recurrent import Parameters
from demo_site.stages import stages
from demo_site.story.check import check_page
from demo_site.story.export import STATE, to_onnx
from demo_site.story.grammar import END, stories, words
from demo_site.story.training import (
    DEFAULTS,
    VOCABULARY,
    Settings,
    bits_per_character,
    known_words,
    numbers,
    shares,
    train,
    write,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WEB = Path(__file__).parent / "web"
PACK = "story.pack"
BEGINNINGS = ("Once upon a time there was a ", "Long ago, by the sea, ", "A brave mouse ", "Emma ", "")
"""What a visitor can begin with; the first one is written on when the page opens."""

MOST_BITS = 0.25  # a letter
TEMPERATURE = 0.5
TRIED = 100  # stories, of each kind


class Story:
    """A visitor gives a beginning, and a model of letters writes on."""

    name = "story"
    title = "Tell a story"
    card = Path(__file__).with_name("card.html")

    def __init__(self, settings: Settings = DEFAULTS, most_bits: float = MOST_BITS) -> None:
        self._settings = settings
        self._most = most_bits
        self._parameters: Parameters | None = None

    def build(self, site: Path, console: Console) -> None:
        """Write the page and its pack; a bar while it works, tables in the end.

        Raises:
            DemoError: the writer has learnt too little, or onnxruntime disagrees with it.
            PyRuntimeError: the model could not be converted.
        """
        folder = site / self.name
        shutil.copytree(WEB, folder)
        with stages(console) as stage:
            parameters = train(self._settings, stage("train"))
            tell = stage("convert")
            model = to_onnx(parameters)
            report = pack_model(model, folder / PACK, state=STATE)
            tell(1)
        unseen = stories(TRIED, self._settings.seed + 1)
        bits = bits_per_character(parameters, unseen)
        known = known_words(write(parameters, TRIED, 500, TEMPERATURE, self._settings.seed))
        runtime, compressed = runtime_bytes(site / "js")
        count = sum(p.size for p in parameters)
        told = (
            f"The writer has {count:,} parameters, and learnt from {self._settings.stories:,} stories that a "
            f"grammar of {len(words())} words made up while this site was built. It reads letters, its "
            f"tokens, and had to find out that there are words: {known:.1%} of those that it writes at "
            f"temperature {TEMPERATURE} exist. A letter of a story that it has not seen takes it {bits:.2f} "
            f"bits. {told_of_runtime(compressed)}"
        )
        facts = {"vocabulary": VOCABULARY, "beginnings": BEGINNINGS, "told": told}
        (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
        console.print(files_table(report, PACK, runtime))
        console.print(f"{bits:.3f} bits a letter of unseen stories; {known:.1%} of the words written exist.")
        text = END + unseen[0]
        feeds: dict[str, np.ndarray[Any, Any]] = {
            "characters": numbers(text)[:, None],
            "temperature": np.array(TEMPERATURE, np.float32),
            "read": np.zeros((1, 1, self._settings.units), np.float32),
        }
        expected = {"shares": shares(parameters, text, TEMPERATURE)[-1:]}
        tell_disagreement(disagreement(model, feeds, expected), console)
        if not bits <= self._most:
            raise DemoError(f"the writer takes {bits:.2f} bits a character, {self._most} are allowed")
        self._parameters = parameters

    def check(self, browser: Browser, address: str, site: Path, checks: Checks) -> None:
        """Use the page as a visitor would; see `check_page`."""
        if self._parameters is None:
            raise DemoError("build the story demo before checking it")
        check_page(browser, address, site / self.name, self._parameters, checks)
