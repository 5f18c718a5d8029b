"""`pyruntime bench`: where a model's time goes, step by step, and how near each step is to the limit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyruntime.cli.options import (
    Debug,
    Device,
    Inputs,
    Json,
    PackOrModel,
    Rounds,
    Seconds,
    Seed,
    Sizes,
    Threads,
)


def bench(
    pack: PackOrModel,
    inputs: Inputs = None,
    seed: Seed = 0,
    symbol: Sizes = None,
    device: Device = "auto",
    threads: Threads = None,
    seconds: Seconds = 3.0,
    rounds: Rounds = None,
    browser: Annotated[
        str,
        typer.Option(
            "--browser",
            "-b",
            metavar="NAME",
            help="Measure in a browser: auto (the first there is, without a window), chromium, chrome, edge,"
            " firefox, a program's path, or default (your own, in a window).",
            show_default=False,
        ),
    ] = "",
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write a picture: one page by itself.", show_default=False
        ),
    ] = None,
    json: Json = False,
    _debug: Debug = False,
) -> None:
    """Time each step of a pack, and compare it with what the engine can do at most.

    The limit is measured in the same rounds and engine: a loop of multiply-adds, and copies of memory.
    """
    from pyruntime.cli import look, measuring, picture
    from pyruntime.runtime.bench.profile import Budget, to_dict

    request = measuring.Request(
        pack,
        tuple(inputs or ()),
        seed,
        tuple(symbol or ()),
        device,
        threads,
        Budget(seconds, rounds),
        browser,
    )
    result = measuring.measure(request)
    if html is not None:
        picture.write(html, pack.name, result)
    if json:
        look.print_json({"pack": str(pack), **to_dict(result)})
    else:
        measuring.show(pack, result, look.stdout())
        if html is not None:
            look.print_section(look.stdout(), f"picture: {html}")
