"""What a run needs before it: peers from npm, engines bundled for pages, packs, feeds, the limits' module."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import pyruntime
from benchmarks.court.benchmark import BUILD, Benchmark
from benchmarks.court.engines import ENGINES, HERE, OURS, OWN_INT8, PEERS, ROOT, Contestant
from benchmarks.court.limits import write_module

BUNDLES = BUILD / "engines"
SCRIPT = BUILD / "page.js"
LIMITS = BUILD / "limits.wasm"


def install_peers() -> None:
    """The peers' packages as package-lock.json has them, unless they are there already."""
    lock = PEERS.parent / "package-lock.json"
    stamp = PEERS / ".package-lock.json"
    if not stamp.is_file() or stamp.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(["npm", "ci", "--ignore-scripts", "--loglevel=error"], cwd=PEERS.parent, check=True)


def bundle() -> None:
    """Each engine as one minified file, as a page's bundler would make it, and the court's own script."""
    esbuild = ROOT / "js_bindings" / "node_modules" / ".bin" / "esbuild"
    options = ("--bundle", "--minify", "--format=esm", "--log-level=error", "--external:node:*")
    engines = sorted((HERE / "js" / "engines").glob("*.js"))
    for sources, out in ((engines, BUNDLES), ([HERE / "js" / "page.js"], SCRIPT.parent)):
        subprocess.run([esbuild, *sources, *options, f"--outdir={out}"], check=True)


def convert(benchmark: Benchmark, contestant: Contestant) -> None:
    """The pack of one of ours, anew; where that fails, a file that says why."""
    source = benchmark.folder / ENGINES[OURS].models[contestant.dtype]
    pack = benchmark.model(contestant)
    failure = pack.with_name(f"{pack.name}.error")
    failure.unlink(missing_ok=True)
    if not source.is_file():
        return  # its row says so
    pack.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"quantize": "int8"} if contestant.dtype == OWN_INT8 else {}
    try:
        pyruntime.convert(source, pack, targets=(contestant.device,), **options)
    except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"
        failure.write_text(text.replace(f"{ROOT}/", ""))


def prepare(
    benchmarks: Sequence[Benchmark],
    contestants: Callable[[Benchmark], Sequence[Contestant]],
    tell: Callable[[str], None],
) -> None:
    """Everything for these benchmarks and who takes part in each."""
    tell("bundle the engines")
    bundle()
    write_module(LIMITS)
    for benchmark in benchmarks:
        taking_part = contestants(benchmark)
        tell(f"convert {benchmark.name}")
        for contestant in {c.pack: c for c in taking_part if c.ours}.values():
            convert(benchmark, contestant)
        for layout in sorted({ENGINES[c.engine].layout for c in taking_part}):
            benchmark.write_feeds(layout)
