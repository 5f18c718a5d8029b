"""`pyruntime run`: a pack, or a model on its way through a pack, run once or several times."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyruntime.cli.options import Debug, Device, Json, PackOrModel, Seed, Sizes, Threads


def run(
    pack: PackOrModel,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="NAME=FILE",
            help="x=file.npy, x=file.npz:key, or file.npz with an array per input; repeat for several.",
            show_default=False,
        ),
    ] = None,
    random: Annotated[
        bool,
        typer.Option(
            "--random", "-r", help="Fill the other inputs: floats in [0, 1), integers and bools 0 or 1."
        ),
    ] = False,
    seed: Seed = 0,
    symbol: Sizes = None,
    device: Device = "auto",
    threads: Threads = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Save the outputs as .npz.", show_default=False),
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", "-n", help="Runs to time.", min=1)] = 1,
    json: Json = False,
    _debug: Debug = False,
) -> None:
    """Run a pack once, or several times, and show its outputs."""
    from pyruntime.cli import look
    from pyruntime.cli.execution import Request, execute, show

    fed = (tuple(inputs or ()), random, seed, tuple(symbol or ()))
    request = Request(pack, *fed, device, threads, output, repeat)
    result = execute(request)
    if json:
        look.print_json(result.to_dict())
    else:
        show(result, look.stdout())
