"""Options that several commands share, and what handling errors must know of them."""

from __future__ import annotations

from typing import Annotated

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


Json = Annotated[
    bool,
    typer.Option("--json", callback=_set_json, help="Print one JSON document, errors included."),
]
Debug = Annotated[bool, typer.Option("--debug", callback=_set_debug, help="Show the traceback of an error.")]
