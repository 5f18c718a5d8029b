"""`pyruntime tune`: which shaders of a pack are best on the GPU at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyruntime.cli.options import Debug, Inputs, Json, Rounds, Seconds, Seed, Sizes, source


def tune(
    pack: Annotated[
        Path,
        source(
            "MODEL", "A pack that was converted with --tunable, or a model file, which is converted first."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT",
            help="For a model file, the pack to write. By default the model's name with .pack, in the present"
            " folder.",
            show_default=False,
        ),
    ] = None,
    inputs: Inputs = None,
    seed: Seed = 0,
    symbol: Sizes = None,
    seconds: Seconds = 10.0,
    rounds: Rounds = None,
    gpu: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="VENDOR/ARCHITECTURE",
            help="Store what is found for GPUs that browsers call so, where pyruntime does not know it.",
            show_default=False,
        ),
    ] = "",
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a pack that is at OUT.")] = False,
    json: Json = False,
    _debug: Debug = False,
) -> None:
    """Try other shaders for the steps of a pack on this GPU, and keep those that are faster in the pack.

    Only what gives the same results is taken. Packs are good without it; elsewhere their defaults run on.
    """
    from pyruntime.cli import look, tuning
    from pyruntime.runtime.bench.profile import Budget

    request = tuning.Request(
        pack, out, tuple(inputs or ()), seed, tuple(symbol or ()), Budget(seconds, rounds), gpu, force
    )
    path, found = tuning.execute(request)
    if json:
        look.print_json({"pack": str(path), **tuning.to_dict(found)})
    else:
        tuning.show(path, found, look.stdout())
