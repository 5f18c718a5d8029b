"""`pyruntime check`: whether a model can be converted, for which targets, and all that is missing."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pyruntime.cli.exits import UNSUPPORTED
from pyruntime.cli.options import Debug, Elements, FixedSizes, Json, Values, source


class Target(StrEnum):
    """What a model may be converted for; on the last the GPU computes every step."""

    WEBGPU = "webgpu"
    WASM = "wasm"
    STRICT = "webgpu-strict"


def check(
    model: Annotated[
        Path,
        source("MODEL", "The trained model: a file or folder, as convert takes it."),
    ],
    target: Annotated[
        list[Target] | None,
        typer.Option(
            "--target",
            "-t",
            help="What it must be convertible for; webgpu-strict leaves no step to the CPU. Repeat for"
            " several. [default: webgpu, wasm]",
        ),
    ] = None,
    symbol: FixedSizes = None,
    elements: Elements = None,
    value: Values = None,
    json: Json = False,
    _debug: Debug = False,
) -> None:
    """Tell whether a model can be converted, for which targets, and all that is missing.

    No pack is written and no C compiler is needed. What comes after a node that cannot be converted is looked
    at, too, as far as that is sound; the rest is listed as open. Exit code 3 unless all targets asked for can
    be had.
    """
    from pyruntime.cli import checking, look
    from pyruntime.cli.feeds import parse_json, parse_sizes

    asked = tuple(t.value for t in dict.fromkeys(target or (Target.WEBGPU, Target.WASM)))
    told = (
        parse_sizes(symbol or ()),
        parse_json(elements or (), "elements"),
        parse_json(value or (), "value"),
    )
    found = checking.check(model, *told)
    if json:
        look.print_json(checking.to_dict(found))
    else:
        checking.show(found, asked, look.stdout())
    if not all(found.targets[t] for t in asked):
        raise typer.Exit(UNSUPPORTED)
