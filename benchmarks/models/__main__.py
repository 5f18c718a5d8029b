"""Makes the models of all benchmarks, or of some.

python -m benchmarks.models [--only NAME[,NAME...]] [--out DIR] [--list]

What is there and up to date, by a hash of the sources, is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.models.catalogue import BENCHMARKS
from benchmarks.models.write import current, fingerprint, write

OUT = Path(__file__).parents[2] / "build" / "bench" / "models"


def chosen(patterns: Sequence[str]) -> list[str]:
    """Names of benchmarks that any pattern matches; of all, without patterns.

    Raises:
        SystemExit: a pattern matches none.
    """
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in BENCHMARKS):
            raise SystemExit(f"no benchmark is called {pattern}; there are {', '.join(BENCHMARKS)}")
    return [n for n in BENCHMARKS if not patterns or any(fnmatch(n, p) for p in patterns)]


def summary(formats: Mapping[str, Mapping[str, Any]]) -> str:
    """Which formats there are, and what keeps the others from being made."""
    there = ", ".join(f for f, told in formats.items() if "missing" not in told)
    return "\n    ".join([there, *(f"no {f}: {t['missing']}" for f, t in formats.items() if "missing" in t)])


def main() -> None:
    """Make what is asked for and not up to date."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="or a pattern, as minilm-*"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    options = parser.parse_args()
    names = chosen([p for text in options.only for p in text.split(",")])
    console = Console()
    if options.list:
        console.print("\n".join(names))
        return
    sources = fingerprint()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("models", total=len(names))
        for name in names:
            if not current(options.out / name, sources):

                def say(stage: str, name: str = name) -> None:
                    progress.update(task, description=f"{name}: {stage}")

                say("weights")
                told = write(name, BENCHMARKS[name](), options.out / name, sources, say)
                progress.console.print(f"{name}: {summary(told['formats'])}")
            progress.advance(task)
        progress.update(task, description="models")


if __name__ == "__main__":
    main()
