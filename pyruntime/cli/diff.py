"""`pyruntime diff`: the first tensor of a model that a target computes otherwise than NumPy does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pyruntime.cli.exits import FAILED
from pyruntime.cli.options import Debug, Inputs, Json, Seed, Sizes, source


def diff(
    model: Annotated[Path, source("MODEL", "A model file; it is converted first.")],
    inputs: Inputs = None,
    seed: Seed = 0,
    symbol: Sizes = None,
    device: Annotated[
        Literal["wasm", "webgpu"], typer.Option("--device", "-d", help="Where to run it.")
    ] = "wasm",
    tolerance: Annotated[
        float,
        typer.Option(
            help="The difference that is allowed, as a share of a tensor's largest magnitude.", min=0.0
        ),
    ] = 1e-4,
    json: Json = False,
    _debug: Debug = False,
) -> None:
    """Run a model step by step on a device and with NumPy, and name the first tensor that differs.

    A step computes one node of the model or several; the table names them as the model does.
    """
    from pyruntime.cli import diverging, look

    request = diverging.Request(model, tuple(inputs or ()), seed, tuple(symbol or ()), device, tolerance)
    steps = diverging.compare(request)
    if json:
        look.print_json(diverging.to_dict(request, steps))
    else:
        diverging.show(request, steps, look.stdout())
    if any(step.diverges for step in steps):
        raise typer.Exit(FAILED)
