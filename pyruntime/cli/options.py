"""Options that several commands share, and what handling errors must know of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

_STATE = f"{__name__}.state"


class State:
    """How the running command was asked to report errors."""

    json = False
    debug = False


def state(context: typer.Context) -> State:
    """The state of this call of the program; one for all nested contexts."""
    made: State = context.meta.setdefault(_STATE, State())
    return made


def _set_json(context: typer.Context, value: bool) -> bool:
    state(context).json = value
    return value


def _set_debug(context: typer.Context, value: bool) -> bool:
    state(context).debug = value
    return value


def source(metavar: str, told: str) -> Any:
    """A path that a command reads; what cannot be read is told when it tries, as any other error."""
    return typer.Argument(metavar=metavar, help=told, readable=False)


PackOrModel = Annotated[Path, source("PACK", "A pack, or a model file, which is converted first.")]
Json = Annotated[
    bool,
    typer.Option("--json", callback=_set_json, help="Print one JSON document, errors included."),
]
Devices = Literal["auto", "webgpu", "wasm"]
Device = Annotated[Devices, typer.Option("--device", "-d", help="Where to run.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", "-t", help="Threads on Wasm; by default one a processor, up to 4.", min=1, max=64
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="NAME=FILE",
        help="x=file.npy, or file.npz with an array per input, as `pyruntime run` takes them; inputs that are"
        " not given are random.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of random inputs.", min=0)]
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        "--symbol",
        "-s",
        metavar="NAME=SIZE",
        help="Size of a dim, as in batch=4; 1 if left out. Repeat for several.",
        show_default=False,
    ),
]
Seconds = Annotated[
    float, typer.Option(help="How long to measure; a few rounds are run in any case.", min=0.0)
]
Rounds = Annotated[
    int | None,
    typer.Option("--rounds", "-n", help="Rounds to measure, instead of --seconds.", min=1),
]
FixedSizes = Annotated[
    list[str] | None,
    typer.Option(
        "--symbol",
        "-s",
        metavar="SYMBOL=SIZE",
        help="A fixed size for a symbol of the inputs' shapes. Repeat for several.",
    ),
]
Elements = Annotated[
    list[str] | None,
    typer.Option(
        metavar="INPUT=COUNT",
        help="How many tensors a sequence has, or 1 for an optional, null where it is absent; or their"
        """ shapes, as x=[[2,3],["n",3]]. Repeat for several.""",
        show_default=False,
    ),
]
Values = Annotated[
    list[str] | None,
    typer.Option(
        metavar="INPUT=VALUE",
        help="What an input of few integers or bools always is, as split=2; repeat for several.",
        show_default=False,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", callback=_set_debug, help="Show the traceback of an error.")]
