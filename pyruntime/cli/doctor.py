"""`pyruntime doctor`: what this machine has, what it lacks, what that costs and how to get it."""

from __future__ import annotations

import typer

from pyruntime.cli.exits import NO_DEVICE
from pyruntime.cli.options import Debug, Json


def doctor(json: Json = False, _debug: Debug = False) -> None:
    """Look for compilers, devices and browsers, and convert and run a small model on each device."""
    from pyruntime.cli import look
    from pyruntime.cli.probes import diagnose

    with look.stderr().status("") as status:
        diagnosis = diagnose(status.update)
    if json:
        look.print_json(diagnosis.to_dict())
    else:
        from pyruntime.cli.diagnosis import show

        show(diagnosis, look.stdout())
    if not diagnosis.healthy:
        raise typer.Exit(NO_DEVICE)
