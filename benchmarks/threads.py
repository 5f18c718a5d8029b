"""What threads gain: a pack's runs with one and with several, beside how loops that share nothing scale.

python -m benchmarks.threads [MODEL.onnx] [--threads 2] [--rounds 100] [--engine ENGINE] [--symbol batch=1]

Without a model: four products of 128 rows with 512 x 512 weights. Two cores may share one core's throughput,
so that a gain means something only beside that of multiply-add loops of the same minute. Turns are short, so
that on a machine with other work the least times still tell.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import wasmtime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, save
from pyruntime_wasm.toolchain import build

import pyruntime
from benchmarks.kernels import PEAK
from tests.browser.conftest import PAGE
from tests.browser.server import ISOLATED, serving
from tests.chromium import FLAGS

HERE = Path(__file__).parent
RUNTIME = HERE.parent / "js_bindings" / "dist"
LOOP = 100_000_000  # multiply-adds of a loop, in vectors of 4 x 12 chains
Times = list[list[float]]  # with one thread and with several, ms
Feeds = Mapping[str, NDArray[Any]]


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


def products(path: Path) -> Path:
    """A model of matrix products alone."""
    rng = np.random.default_rng(0)
    weights = [rng.uniform(-0.1, 0.1, (512, 512)).astype(np.float32) for _ in range(4)]
    nodes = [helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"x{i + 1}"]) for i in range(len(weights))]
    ends = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, [128, 512]) for i in (0, len(weights))]
    held = [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)]
    graph = helper.make_graph(nodes, "products", ends[:1], ends[1:], held)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def timed(action: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def natively(pack: Path, peak: bytes, feeds: Feeds, options: argparse.Namespace) -> tuple[Times, Times]:
    """Times of runs and of loops under wasmtime."""
    engine = wasmtime.Engine()
    module = wasmtime.Module(engine, peak)

    def loop() -> Callable[[], object]:
        store = wasmtime.Store(engine)
        kind = module.imports[0].type
        assert isinstance(kind, wasmtime.MemoryType)
        exports = wasmtime.Instance(store, module, [wasmtime.Memory(store, kind)]).exports(store)
        run = exports["multiply_adds"]
        assert isinstance(run, wasmtime.Func)
        return lambda: run(store, LOOP // 48)

    runs: Times = [[], []]
    loops: Times = [[], []]
    made = [loop() for _ in range(options.threads)]
    with (
        ThreadPoolExecutor(options.threads) as pool,
        pyruntime.load(pack, device="wasm", threads=1) as alone,
        pyruntime.load(pack, device="wasm", threads=options.threads) as together,
    ):
        for _ in range(options.rounds):
            for i, session in enumerate((alone, together)):
                session.run(feeds)
                runs[i].append(timed(lambda s=session: s.run(feeds)))  # type: ignore[misc]  # bound now
                several = made if i else made[:1]
                loops[i].append(timed(lambda s=several: list(pool.map(lambda each: each(), s))))  # type: ignore[misc]
    return runs, loops


def in_chromium(pack: Path, peak: bytes, feeds: Feeds, options: argparse.Namespace) -> tuple[Times, Times]:
    """Times of runs and of loops in a cross-origin isolated page."""
    from playwright.sync_api import sync_playwright

    with serving() as server, sync_playwright() as playwright:
        tests = HERE.parent / "tests" / "browser"
        server.folders = {"/js/": RUNTIME, "/pack/": pack, "/harness.js": tests / "harness.js", "/": HERE}
        server.pages = {"/race.html": PAGE.replace("/page.js", "/threads.js")}
        server.headers = dict.fromkeys(("/race.html", "/threads.js", "/js/worker.js"), ISOLATED)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*FLAGS])
        page = browser.new_page()
        page.goto(server.url + "/race.html")
        found: dict[str, Any] = page.evaluate(
            "async (options) => (await import('/threads.js')).measure(options)",
            {
                "peak": base64.b64encode(peak).decode(),
                "threads": options.threads,
                "rounds": options.rounds,
                "runs": 2,
                "count": LOOP // 48,
                "feeds": encode(feeds),
            },
        )
        browser.close()
    assert found["threads"] == [1, options.threads], found["threads"]
    return found["runs"], found["loops"]


ENGINES = {"wasmtime": natively, "chromium": in_chromium}


def gain(times: Sequence[Sequence[float]], work: float, middle: Callable[[Sequence[float]], float]) -> float:
    """How many times the work of one is done in the same time, where several do `work` times as much."""
    return work * middle(times[0]) / middle(times[1])


def main() -> None:
    """Convert, measure, and print a line for each engine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--engine", choices=sorted(ENGINES), action="append")
    parser.add_argument("--symbol", action="append", default=[], metavar="NAME=SIZE")
    options = parser.parse_args()
    symbols = {name: int(size) for name, size in (text.split("=") for text in options.symbol)}
    peak = build({"peak": PEAK}, ["relaxed"])["relaxed"]
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or products(Path(folder) / "products.onnx")
        pack = Path(folder) / "model.pack"
        pyruntime.convert(model, pack, targets=("wasm",))
        feeds = random_feeds(pack, symbols)
        for engine in options.engine or sorted(ENGINES):
            runs, loops = ENGINES[engine](pack, peak, feeds, options)
            ms = " and ".join(f"{statistics.median(t):.2f} ({min(t):.2f})" for t in runs)
            print(
                f"{model.stem}, {engine}: {ms} ms with 1 and {options.threads} threads, medians (least):"
                f" {gain(runs, 1, statistics.median):.2f} ({gain(runs, 1, min):.2f}) times as fast;"
                f" loops {gain(loops, options.threads, statistics.median):.2f}"
                f" ({gain(loops, options.threads, min):.2f})"
            )


if __name__ == "__main__":
    main()
