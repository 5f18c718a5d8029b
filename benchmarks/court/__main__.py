"""make bench: every engine on every benchmark, in turns; writes results.json, RESULTS.md and results.svg.

Lists are separated by commas: --only minilm-128,resnet50 --engines litert --host chromium --dtype f32
--model FILE.onnx races a model of your own instead, and writes to build/bench/own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.court import results
from benchmarks.court.benchmark import Benchmark, found
from benchmarks.court.engines import ENGINES, ROOT
from benchmarks.court.own import OWN, own
from benchmarks.court.prepare import install_peers, prepare
from benchmarks.court.report import print_rows, write_report
from benchmarks.court.run import Run
from benchmarks.court.schedule import Choice, races
from benchmarks.court.verdicts import print_verdicts


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.court", description=__doc__)
    parser.add_argument("--only", type=_words, default=[], metavar="NAMES", help="benchmarks")
    parser.add_argument(
        "--engines", type=_words, default=[], help=f"of {', '.join(ENGINES)}; ours always runs"
    )
    parser.add_argument("--host", type=_words, default=[], help="of chromium, node, native")
    parser.add_argument("--dtype", type=_words, default=[], help="of f32, int8, int8-dynamic")
    parser.add_argument("--threads", type=_words, default=[], help="of 1, 2")
    parser.add_argument("--device", choices=("wasm", "webgpu"), default="wasm")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cold", type=int, default=5, help="visits with a fresh profile")
    parser.add_argument(
        "--report", action="store_true", help="measure nothing: table and plot of what is there"
    )
    parser.add_argument("--model", type=Path, metavar="FILE.onnx", help="a model of your own")
    parser.add_argument("--feeds", type=Path, metavar="FILE.npz", help="its inputs by name; else random")
    parser.add_argument("--symbol", action="append", default=[], metavar="NAME=SIZE", help="of random inputs")
    options = parser.parse_args(arguments)
    unknown = set(options.engines) - set(ENGINES)
    if unknown:
        parser.error(f"no engine {', '.join(sorted(unknown))}; there are {', '.join(ENGINES)}")
    return options


def _benchmarks(options: argparse.Namespace) -> list[Benchmark]:
    """The benchmarks asked for, made where they are missing."""
    if options.model:
        options.engines = options.engines or ["onnxruntime-web"]  # the one that reads all such files
        symbols = (text.split("=") for text in options.symbol)
        return [own(options.model, options.feeds, {name: int(size) for name, size in symbols})]
    only = ["--only", ",".join(options.only)] if options.only else []
    subprocess.run([sys.executable, "-m", "benchmarks.models", *only], cwd=ROOT, check=True)
    return found(options.only)


@contextmanager
def surviving(title: str, lost: list[str], console: Console) -> Iterator[None]:
    """Around a race: what goes wrong, other than in a contestant, is told, and the race is a lost one."""
    try:
        yield
    except Exception:  # noqa: BLE001 - as where the page that measures limits crashes
        lost.append(title)
        console.print_exception()


def measure(options: argparse.Namespace, path: Path, console: Console) -> list[str]:
    """Run the races, and tell which could not be: the others go on, and their rows stay as they were.

    Results are written after each benchmark: an interrupted run loses one at most.
    """
    from benchmarks.court.arena import arena

    install_peers()
    benchmarks = _benchmarks(options)
    threads = [int(t) for t in options.threads]
    choice = Choice(options.engines, options.host, options.dtype, threads, options.device)
    planned = {b.name: races(b.name, choice) for b in benchmarks}
    lost: list[str] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("prepare", total=sum(len(p) for p in planned.values()))
        prepare(
            benchmarks,
            lambda b: [c for race in planned[b.name] for c in race.everyone],
            lambda text: progress.update(task, description=text),
        )
        with arena() as opened:
            name = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            run = Run(opened, name, options.rounds, options.cold)
            machine = results.machine(opened.browser.version)
            for benchmark in benchmarks:
                rows: list[Any] = []
                for race in planned[benchmark.name]:
                    title = f"{benchmark.name}, {race.title}"

                    def tell(text: str, title: str = title) -> None:
                        progress.update(task, description=f"{title}: {text}")

                    with surviving(title, lost, progress.console):
                        rows += run.race(benchmark, race, tell)
                    progress.advance(task)
                limits = {"machine": machine, **results.summary(run.limits)}
                results.write(results.merge(results.read(path), name, limits, rows), path)
    return lost


def main() -> int:
    """The exit status: 0 where every race was run, whatever came out."""
    options = _options()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    start = time.perf_counter()
    path = OWN / results.PATH.name if options.model else results.PATH
    lost = [] if options.report else measure(options, path, console)
    made = results.read(path)
    write_report(made, path.parent)
    print_rows(made, console)
    if not options.model:
        print_verdicts(made, console)
    console.print(
        f"{time.perf_counter() - start:.0f} s; results.json, RESULTS.md, results.svg in {path.parent}"
    )
    for race in lost:
        console.print(f"[red]lost: {race}[/red]")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
