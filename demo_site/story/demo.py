"""The story demo: trains, exports and converts the writer, and lays out its page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from demo_site.checks import Checks
from demo_site.demo import DemoError
from demo_site.packing import Feeds, Network
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
        unseen = stories(TRIED, self._settings.seed + 1)
        bits = bits_per_character(parameters, unseen)
        known = known_words(write(parameters, TRIED, 500, TEMPERATURE, self._settings.seed))
        told = (
            f"The writer has {sum(p.size for p in parameters):,} parameters, and learnt from "
            f"{self._settings.stories:,} stories that a grammar of {len(words())} words made up while this "
            "site was built. It reads letters, its tokens, and had to find out that there are words: "
            f"{known:.1%} of those that it writes at temperature {TEMPERATURE} exist. A letter of a story "
            f"that it has not seen takes it {bits:.2f} bits."
        )
        facts = {"vocabulary": VOCABULARY, "beginnings": BEGINNINGS}
        self._network(parameters, END + unseen[0]).write(site, folder / PACK, facts, told, console)
        console.print(f"{bits:.3f} bits a letter of unseen stories; {known:.1%} of the words written exist.")
        if not bits <= self._most:
            raise DemoError(f"the writer takes {bits:.2f} bits a character, {self._most} are allowed")
        self._parameters = parameters

    def _network(self, parameters: Parameters, text: str) -> Network:
        feeds: Feeds = {
            "characters": numbers(text)[:, None],
            "temperature": np.array(TEMPERATURE, np.float32),
            "read": np.zeros((1, 1, self._settings.units), np.float32),
        }
        expected = {"shares": shares(parameters, text, TEMPERATURE)[-1:]}
        return Network(to_onnx(parameters), feeds, expected, {"state": STATE})

    def check(self, browser: Browser, address: str, site: Path, checks: Checks) -> None:
        """Use the page as a visitor would; see `check_page`."""
        if self._parameters is None:
            raise DemoError("build the story demo before checking it")
        check_page(browser, address, site / self.name, self._parameters, checks)
