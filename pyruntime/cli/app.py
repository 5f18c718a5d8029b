"""The typer application: its commands, its help, and how errors become messages and exit codes."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pyruntime.cli import bench, check, convert, diff, doctor, inspect, ops, run, serve_demo, tune
from pyruntime.cli.exits import EXITS, HANDLED, exit_code
from pyruntime.cli.options import state

COMMANDS = (
    check.check,
    convert.convert,
    inspect.inspect,
    run.run,
    bench.bench,
    tune.tune,
    serve_demo.serve_demo,
    diff.diff,
    ops.ops,
    doctor.doctor,
)


class Commands(TyperGroup):
    """Turns the errors that are raised on purpose into a message on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises typer.Exit where one of `exits.HANDLED` was raised."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of a pipe went away; typer ends quietly
        except HANDLED as error:
            from pyruntime.cli import failures

            code = exit_code(error)
            asked = state(ctx)
            failures.show(error, code, json=asked.json, debug=asked.debug)
            raise typer.Exit(code) from None


def _version(value: bool) -> None:
    if value:
        from importlib import metadata

        python = ".".join(map(str, sys.version_info[:3]))
        typer.echo(f"pyruntime {metadata.version('pyruntime')} (Python {python})")
        raise typer.Exit


def _exit_codes() -> str:
    return "\n".join(["Exit codes:", "", *(f"- {row.code}: {row.when}" for row in EXITS)])


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_exit_codes(),
)


@app.callback()
def _pyruntime(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compile trained models to packs of WGSL and Wasm, and run them."""


for command in COMMANDS:
    app.command(
        short_help=(command.__doc__ or "").partition("\n")[0],  # whole, where click would cut it
        no_args_is_help=command not in (ops.ops, doctor.doctor),
        epilog=_exit_codes(),
    )(command)
