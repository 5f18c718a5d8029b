"""The search demo: converts MiniLM, turns the sentences into vectors, and lays out its page."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

import pyruntime
from demo_site.bundle import bundle
from demo_site.checks import Checks
from demo_site.demo import RUNTIME, DemoError
from demo_site.pyodide import copy_pyodide
from demo_site.search.check import MOST_CODE, Expected, check_page
from demo_site.search.corpus import Corpus, read_corpus
from demo_site.search.embed import Vectors, embed, tokens
from demo_site.search.layout import arrange
from demo_site.search.model import fetch
from demo_site.search.queries import EXAMPLES, MORE
from demo_site.stages import Tell, stages

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WEB = Path(__file__).parent / "web"
PACK = "minilm.pack"
THEME_PULL = 0.5  # how much the map draws sentences towards the middle of their theme
MOST_APART = 2e-3  # cosines with weights as float16 against float32


class Search:
    """A visitor types, and sentences are ranked by meaning, on the device of choice."""

    name = "search"
    title = "Search by meaning"
    card = Path(__file__).with_name("card.html")

    def __init__(self, model: Path | None = None, corpus: Corpus | None = None) -> None:
        """Of the published model and all sentences, unless others are given."""
        self._model = model
        self._corpus = corpus or read_corpus()
        self._expected: Expected | None = None

    def build(self, site: Path, console: Console) -> None:
        """Write the page, the pack and the vectors; bars while it works, a table in the end.

        Raises:
            UnavailableError: the model cannot be fetched.
            DemoError: Node packages are missing, or float16 weights change the ranking.
            PyRuntimeError: the model could not be converted.
        """
        folder = site / self.name
        shutil.copytree(WEB, folder)
        wheel = copy_pyodide(site / "pyodide")
        bundle("@huggingface/tokenizers", folder / "tokenizer.js", ("Tokenizer",))
        queries = [*EXAMPLES, *MORE]
        with stages(console) as stage, tempfile.TemporaryDirectory() as scratch:
            tell = stage("fetch")
            model = self._model or fetch()
            tell(1)
            tell = stage("convert")
            pyruntime.convert(model, folder / PACK, targets=("webgpu", "wasm"), weights="f16")
            tell(0.5)
            pyruntime.convert(model, Path(scratch) / PACK, targets=("wasm",))
            tell(1)
            texts = [*self._corpus.sentences, *queries]
            rows = tokens(texts, folder / "tokenizer.js", model / "tokenizer.json")
            vectors = _vectors(folder / PACK, rows, stage("embed"))
            exact = _vectors(Path(scratch) / PACK, rows, stage("compare"))
            tell = stage("map")
            own, asked = np.split(vectors, [len(self._corpus.sentences)])
            places = arrange(_drawn_together(own, self._corpus.theme_of))
            tell(1)
        apart, same = _compare((own, asked), np.split(exact, [len(self._corpus.sentences)]))
        write_corpus(folder, self._corpus, own, places)
        sizes = code_sizes(site, folder)
        facts = {"examples": list(EXAMPLES), "wheel": wheel, "told": _told(sizes, apart, same, len(queries))}
        (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
        console.print(_table(sizes))
        first = f"{same} of {len(queries)} searches have the same first result"
        console.print(f"Weights as float16: cosines differ by at most {apart:.1e}, {first}.")
        if not apart <= MOST_APART:
            raise DemoError(f"weights as float16 change cosines by {apart:.1e}, {MOST_APART:.0e} is allowed")
        fat = [device for device, most in MOST_CODE.items() if sizes[device] > most]
        if fat:
            raise DemoError(
                f"the page's code is too large on {' and '.join(fat)}: {sizes}, allowed {MOST_CODE}"
            )
        self._expected = Expected(self._corpus, own, dict(zip(queries, asked, strict=True)))

    def check(self, browser: Browser, address: str, site: Path, checks: Checks) -> None:
        """Use the page as a visitor would; see `check_page`."""
        if self._expected is None:
            raise DemoError("build the search demo before checking it")
        check_page(browser, address, site / self.name, self._expected, checks)


def _vectors(pack: Path, rows: Sequence[Sequence[int]], tell: Tell) -> Vectors:
    with pyruntime.load(pack, device="wasm") as session:
        return embed(session, rows, tell)


def _drawn_together(vectors: Vectors, theme_of: Sequence[int]) -> Vectors:
    """Unit vectors, each a little nearer to the mean of its theme."""
    themes = np.array(theme_of)
    means = np.stack([vectors[themes == theme].mean(axis=0) for theme in range(themes.max() + 1)])
    moved = vectors + np.float32(THEME_PULL) * means[themes]
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)


def _compare(half: Sequence[Vectors], full: Sequence[Vectors]) -> tuple[float, int]:
    """The largest difference of cosines, and how many searches have the same first result."""
    found, expected = (asked @ corpus.T for corpus, asked in (half, full))
    same = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
    return float(np.abs(found - expected).max()), same


def write_corpus(folder: Path, corpus: Corpus, vectors: Vectors, places: np.ndarray[Any, Any]) -> None:
    """Write sentences.json and vectors.f32 (little-endian float32, a row for each sentence)."""
    sentences = [
        {"text": text, "theme": theme, "place": [round(float(x), 4), round(float(y), 4)]}
        for text, theme, (x, y) in zip(corpus.sentences, corpus.theme_of, places, strict=True)
    ]
    told = {"themes": corpus.themes, "length": vectors.shape[1], "sentences": sentences}
    (folder / "sentences.json").write_text(json.dumps(told, separators=(",", ":")), encoding="utf-8")
    (folder / "vectors.f32").write_bytes(vectors.astype("<f4").tobytes())


def code_sizes(site: Path, folder: Path) -> dict[str, int]:
    """Bytes of code that a page loads on each device, as a server compresses it: all but data and weights."""
    pack = folder / PACK
    page = [*folder.glob("*.html"), *folder.glob("*.css"), *folder.glob("*.js")]
    page += [file for file in (site / "shared").iterdir() if file.suffix in (".css", ".js")]
    page = [file for file in page if file.name != "python.js"]
    own = {"webgpu": [pack / "shaders.base.wgsl"], "wasm": [pack / "model.relaxed.wasm"]}
    return {
        device: sum(
            len(gzip.compress(file.read_bytes(), 9))
            for file in [*page, *(site / "js" / name for name in RUNTIME[device]), pack / "pack.json", *files]
        )
        for device, files in own.items()
    }


def _told(sizes: Mapping[str, int], apart: float, same: int, queries: int) -> str:
    return (
        "The model is all-MiniLM-L6-v2 of the sentence-transformers project (Apache-2.0). "
        "All code of this page, the model's included, is, as a server compresses it, "
        f"{sizes['wasm'] / 1000:.0f} kB on Wasm and {sizes['webgpu'] / 1000:.0f} kB on WebGPU. "
        f"Weights are stored as float16, half the download: cosines differ from float32's by {apart:.4f} "
        f"at most, and {same} of {queries} searches that were tried have the same first result."
    )


def _table(sizes: Mapping[str, int]) -> Table:
    table = Table("device", "bytes", title="Code of the search page, compressed", title_justify="left")
    table.columns[1].justify = "right"
    for device, size in sizes.items():
        table.add_row(device, f"{size:,}")
    return table
