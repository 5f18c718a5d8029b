"""The command line: `pyruntime convert`, `run` and what else `app` lists. Needs the extra `cli`."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from io import TextIOWrapper

from pyruntime.cli.exits import BUG, INTERRUPTED, USAGE

NEEDED = ("typer", "rich")


def main() -> None:
    """Entry point of the console script; ends the process with a code of `exits.EXITS`."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"pyruntime: the command line needs {' and '.join(missing)}:\n\n    pip install pyruntime[cli]\n",
            file=sys.stderr,
        )
        sys.exit(USAGE)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # × and µ on a console that lacks them are no reason to fail
    try:
        from pyruntime.cli.app import app

        app(prog_name="pyruntime")
    except KeyboardInterrupt:  # while it is still being imported
        sys.exit(INTERRUPTED)
    except Exception:  # noqa: BLE001 - the last resort; everything expected was handled by the app
        traceback.print_exc()
        print(
            "\npyruntime: this is a bug in pyruntime. Please report it together with the text above.",
            file=sys.stderr,
        )
        sys.exit(BUG)
