"""`pyruntime inspect`: what a pack holds, and what a run of it would do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyruntime.cli.options import Debug, Devices, Json, PackOrModel, Sizes


def inspect(
    pack: PackOrModel,
    symbol: Sizes = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write one page by itself: the graph drawn, memory over time, all tables and kernels.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        Devices,
        typer.Option(
            "--device", "-d", help="Tell steps and code of this device alone; by default of all there are."
        ),
    ] = "auto",
    everything: Annotated[bool, typer.Option("--all", "-a", help="Print all steps and weights.")] = False,
    json: Json = False,
    _debug: Debug = False,
) -> None:
    """Look into a pack without running it: interface, steps, kernels, memory, weights, files.

    Steps are told with their workgroups, operations and bytes at the sizes asked, and with the reason why
    each is not one kernel with those that read it, for each device: WebGPU's are fewer and fatter, since on
    a GPU it costs less to compute again.
    """
    from pyruntime.cli import look
    from pyruntime.cli.feeds import parse_sizes
    from pyruntime.cli.inspection import gather, opened
    from pyruntime.cli.progress import Waiting
    from pyruntime.pack.account import TARGETS

    with opened(pack, device) as found, Waiting(look.stderr(), "looking"):
        targets = TARGETS if device == "auto" else (device,)
        made = gather.inspect(found, parse_sizes(symbol or ()), str(pack), targets)
    if html is not None:
        from pyruntime.cli.inspection import page

        page.write(html, made)
    if json:
        look.print_json(gather.to_dict(made))
        return
    from pyruntime.cli.inspection.show import show

    show(made, look.stdout(), everything=everything)
    if html is not None:
        look.print_section(look.stdout(), f"page: {html}")
