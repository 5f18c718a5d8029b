"""Builds the demo site, then serves it or, with --check, opens each page in headless Chromium and stops."""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console

from demo_site.build import SITE, build_site
from demo_site.check import check_site
from demo_site.serve import bind
from pyruntime.errors import PyRuntimeError

PORT = 8000


def main() -> int:
    """The exit status: 0 where all went well."""
    parser = argparse.ArgumentParser(prog="python -m demo_site.main", description=__doc__)
    parser.add_argument("--check", action="store_true", help="check the pages in Chromium, and stop")
    parser.add_argument("--port", type=int, default=PORT, help=f"where to serve; {PORT} if not given")
    options = parser.parse_args()
    console = Console()
    started = time.perf_counter()
    try:
        cases = build_site(console)
        if options.check:
            check_site(SITE, cases, console)
            console.print(f"[green]the demo works[/green]; {time.perf_counter() - started:.0f} s")
            return 0
    except (PyRuntimeError, RuntimeError, OSError) as error:
        console.print("[red]failed:[/red]", str(error), markup=True, highlight=False)
        return 1
    with bind(SITE, options.port) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        console.print(f"\nDraw a digit at [bold]{address}[/bold]   (Ctrl-C ends)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
