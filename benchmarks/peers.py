"""A model in Chromium on pyruntime and on its peers, in turns on one page: times, bytes and differences.

python -m benchmarks.peers MODEL.onnx [--device wasm|webgpu] [--rounds 20] [--runs 5]
    [--symbol batch=1] [--feeds FILE.npz]

Peers come from npm as benchmarks/package-lock.json says. Wasm runs on one thread everywhere.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import pyruntime
from tests.browser.conftest import PAGE
from tests.browser.server import serving
from tests.chromium import FLAGS

HERE = Path(__file__).parent
RUNTIME = HERE.parent / "js_bindings" / "dist"
PEERS = HERE / "node_modules"

Feeds = Mapping[str, NDArray[Any]]


def install_peers() -> None:
    """The peers' packages, unless they are there already."""
    lock = HERE / "package-lock.json"
    stamp = PEERS / ".package-lock.json"
    if not stamp.is_file() or stamp.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(["npm", "ci", "--ignore-scripts", "--loglevel=error"], cwd=HERE, check=True)


def random_feeds(pack: Path, symbols: Mapping[str, int]) -> Feeds:
    """Inputs from one seed: floats in -1 to 1, integers in 0 to 9."""
    rng = np.random.default_rng(0)
    with pyruntime.load(pack, device="wasm") as session:
        feeds: dict[str, NDArray[Any]] = {}
        for spec in session.inputs:
            shape = [d if isinstance(d, int) else symbols.get(d, 1) for d in spec.shape]
            kind = np.dtype(spec.dtype)
            values = rng.uniform(-1, 1, shape) if kind.kind == "f" else rng.integers(0, 10, shape)
            feeds[spec.name] = values.astype(kind)
    return feeds


def encode(feeds: Feeds) -> dict[str, Any]:
    """Tensors as the page takes them."""
    return {
        name: {
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "base64": base64.b64encode(array.tobytes()).decode(),
        }
        for name, array in feeds.items()
    }


def race(model: Path, pack: Path, feeds: Feeds, options: argparse.Namespace) -> list[dict[str, Any]]:
    """What peers.js's `race` returns, one item per engine."""
    from playwright.sync_api import sync_playwright

    with serving() as server, sync_playwright() as playwright:
        server.folders = {
            "/js/": RUNTIME,
            "/peers/": PEERS,
            "/pack/": pack,
            "/model/": model.parent,
            "/": HERE,
        }
        server.pages = {"/race.html": PAGE.replace("/page.js", "/peers.js")}
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS])
        page = browser.new_page()
        page.goto(server.url + "/race.html")
        made: list[dict[str, Any]] = page.evaluate(
            "async (options) => (await import('/peers.js')).race(options)",
            {
                "pack": "/pack/",
                "model": f"/model/{model.name}",
                "device": options.device,
                "feeds": encode(feeds),
                "rounds": options.rounds,
                "runs": options.runs,
            },
        )
        browser.close()
    return made


def difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float:
    """The largest absolute difference of any output."""
    return max(float(np.abs(np.array(ours[n]) - np.array(theirs[n])).max(initial=0)) for n in theirs)


def main() -> None:
    """Convert, race, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--device", choices=("wasm", "webgpu"), default="wasm")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=5, help="runs of an engine before the next has its turn")
    parser.add_argument("--symbol", action="append", default=[], metavar="NAME=SIZE")
    parser.add_argument(
        "--feeds", type=Path, metavar="FILE.npz", help="inputs by name, instead of random ones"
    )
    options = parser.parse_args()
    symbols = {name: int(size) for name, size in (text.split("=") for text in options.symbol)}
    console = Console()
    install_peers()
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder) / "model.pack"
        pyruntime.convert(options.model, pack)
        feeds = dict(np.load(options.feeds)) if options.feeds else random_feeds(pack, symbols)
        results = race(options.model.resolve(), pack, feeds, options)
    ours = results[0]
    table = Table(title=f"{options.model.stem} on {options.device}, Chromium", title_justify="left")
    for heading in (
        "engine",
        "median ms",
        "least ms",
        "ratio of medians",
        "of least",
        "first result ms",
        "differs",
    ):
        table.add_column(heading, justify="left" if heading == "engine" else "right")
    for each in results:
        middle, least = statistics.median(each["times"]), min(each["times"])
        table.add_row(
            each["name"],
            f"{middle:.2f}",
            f"{least:.2f}",
            f"{statistics.median(ours['times']) / middle:.2f}",
            f"{min(ours['times']) / least:.2f}",
            f"{each['opened']:.0f}",
            f"{difference(ours['outputs'], each['outputs']):.1e}",
        )
    console.print(table)
    console.print("Ratios are pyruntime's time over the engine's: under 1, pyruntime is faster.")


if __name__ == "__main__":
    main()
