"""`pyruntime ops`: which ONNX operators and dtypes run on which target."""

from __future__ import annotations

from typing import Annotated

import typer

from pyruntime.cli.options import Debug, Json


def _completed(incomplete: str) -> list[str]:
    """Operators whose names begin so, for the shell."""
    from pyruntime.cli import operators

    return [name for name in operators.stored()["operators"] if name.startswith(incomplete)]


def ops(
    operator: Annotated[
        str | None,
        typer.Argument(
            metavar="OP",
            help="One operator, such as Resize or ai.onnx.ml.Scaler; all by default.",
            autocompletion=_completed,
        ),
    ] = None,
    json: Json = False,
    _debug: Debug = False,
) -> None:
    """List ONNX's operators: tests of ONNX's own suite passed on each target, dtypes, and what fails why."""
    from pyruntime.cli import look, operators

    data = operators.stored()
    try:
        chosen = operators.matching(data, operator) if operator else data["operators"]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="OP") from None
    if json:
        look.print_json({**data, "operators": chosen})
    else:
        operators.show(chosen, look.stdout(), detailed=operator is not None)
