"""`pyruntime serve-demo`: a page for the user's own pack, served to this machine alone."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from pyruntime.cli.options import Debug, Inputs, Json, PackOrModel, Seed, Sizes


def serve_demo(
    pack: PackOrModel,
    inputs: Inputs = None,
    seed: Seed = 0,
    symbol: Sizes = None,
    port: Annotated[
        int,
        typer.Option("--port", "-p", help="Of 127.0.0.1; 0 takes any free one.", min=0, max=65535),
    ] = 0,
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in your default browser.")
    ] = True,
    json: Json = False,
    _debug: Debug = False,
) -> None:
    """Serve a page that runs a pack in your browser, until Ctrl-C.

    It has a switch of devices, sizes and random inputs, and shows outputs, times, bytes, and code to copy.
    """
    from pyruntime.cli import demo, look

    request = demo.Request(pack, tuple(inputs or ()), seed, tuple(symbol or ()), port)
    with demo.served(request) as served, contextlib.suppress(KeyboardInterrupt):  # the way to end it
        if json:
            look.print_json(served.to_dict())
        else:
            demo.show(served, look.stdout())
        demo.wait(served, opened=show)
