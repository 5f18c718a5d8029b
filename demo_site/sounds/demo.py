"""The sound demo: makes sounds, trains and converts the listener, and lays out its page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from demo_site.checks import Checks
from demo_site.demo import DemoError
from demo_site.packing import Network
from demo_site.recurrent import Parameters
from demo_site.sounds.check import check_page
from demo_site.sounds.export import CHUNK, FRAMES, KEPT, STATE, to_onnx
from demo_site.sounds.hearing import (
    BANDS,
    DEFAULTS,
    Settings,
    accuracy,
    bands,
    hear,
    shares,
    sounds_in,
    takes,
    train,
)
from demo_site.sounds.synthesis import CLASSES, QUIET, RATE, record, to_floats, to_integers
from demo_site.stages import stages

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WEB = Path(__file__).parent / "web"
PACK = "sounds.pack"
LEAST_ACCURACY = 0.95  # of takes that it has not heard
TRIED = 15  # takes of each class

Samples = dict[str, NDArray[np.int16]]


class Sounds:
    """A visitor makes a noise, and a listener draws and names it."""

    name = "sounds"
    title = "Name a sound"
    card = Path(__file__).with_name("card.html")

    def __init__(self, settings: Settings = DEFAULTS, least_accuracy: float = LEAST_ACCURACY) -> None:
        self._settings = settings
        self._least = least_accuracy
        self._parameters: Parameters | None = None
        self._played: Samples = {}

    def build(self, site: Path, console: Console) -> None:
        """Write the page, its pack and the sounds that it plays; bars while it works, tables in the end.

        Raises:
            DemoError: the listener names too few unheard sounds, or onnxruntime disagrees with it.
            PyRuntimeError: the model could not be converted.
        """
        folder = site / self.name
        shutil.copytree(WEB, folder)
        seed = self._settings.seed
        with stages(console) as stage:
            tell = stage("record")
            heard = hear(takes(self._settings.takes, seed))
            tell(0.8)
            unheard = hear(takes(TRIED, seed + 1))
            tell(1)
            parameters = train(heard, self._settings, stage("train"))
        of_frames, of_takes = accuracy(parameters, unheard)
        played = playable(parameters, seed + 2)
        for name, samples in played.items():
            (folder / f"{name.replace(' ', '-')}.i16").write_bytes(samples.astype("<i2").tobytes())
        told = (
            f"The listener has {sum(p.size for p in parameters):,} parameters, and learnt from "
            f"{self._settings.takes * len(CLASSES)} takes of two seconds that were computed while this site "
            f"was built: nobody was recorded. Of others it names {of_takes:.1%} right, and {of_frames:.1%} "
            "of all moments. The pack takes samples: the spectrogram, too, is computed in it."
        )
        facts = {"classes": CLASSES, "bands": BANDS, "chunk": CHUNK, "rate": RATE}
        first = to_floats(next(iter(played.values()))[:CHUNK])
        self._network(parameters, first).write(site, folder / PACK, facts, told, console)
        console.print(f"{of_takes:.1%} of unheard takes and {of_frames:.1%} of their frames are named right.")
        if of_takes < self._least:
            raise DemoError(
                f"the listener names {of_takes:.1%} of unheard takes, {self._least:.0%} are wanted"
            )
        self._parameters, self._played = parameters, played

    def _network(self, parameters: Parameters, samples: NDArray[np.float32]) -> Network:
        feeds = {
            "samples": samples[None],
            "tail": np.zeros((1, KEPT), np.float32),
            "heard": np.zeros((1, 1, self._settings.units), np.float32),
        }
        seen = bands(samples)[:, None]
        assert len(seen) == FRAMES
        expected = {"bands": seen, "shares": shares(parameters, seen)}
        return Network(to_onnx(parameters), feeds, expected, {"state": STATE})

    def check(self, browser: Browser, address: str, site: Path, checks: Checks) -> None:
        """Use the page as a visitor would; see `check_page`."""
        if self._parameters is None:
            raise DemoError("build the sound demo before checking it")
        check_page(browser, address, site / self.name, self._parameters, self._played, checks)


def playable(parameters: Parameters, seed: int, tries: int = 20) -> Samples:
    """A take of each sound for the page, not learnt from: the first that the listener names as it is.

    Raises:
        DemoError: there is none among so many.
    """
    rng = np.random.default_rng(seed)
    found: Samples = {}
    for name in CLASSES:
        if name == QUIET:
            continue
        for _ in range(tries):
            samples = to_integers(record(rng, name).samples)
            heard = bands(to_floats(samples))
            if set(sounds_in(shares(parameters, heard[:, None])[:, 0])) == {name}:
                found[name] = samples
                break
        else:
            raise DemoError(f"the listener names none of {tries} takes of {name}")
    return found
