"""Builds the demo site, then serves it or, with --check, opens each page in headless Chromium and stops."""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console

from demo_site.build import SITE, build_site
from demo_site.check import check_site
from demo_site.demo import Demo, DemoError
from demo_site.digits.demo import Digits
from demo_site.search.demo import Search
from demo_site.serve import bind
from demo_site.sounds.demo import Sounds
from demo_site.story.demo import Story
from pyruntime import PyRuntimeError

PORT = 8000
WIDTH = 110  # of what goes to a file or a pipe


def main() -> int:
    """The exit status: 0 where all went well."""
    parser = argparse.ArgumentParser(prog="python -m demo_site.main", description=__doc__)
    parser.add_argument("--check", action="store_true", help="check the pages in Chromium, and stop")
    parser.add_argument("--port", type=int, default=PORT, help=f"where to serve; {PORT} if not given")
    options = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    try:
        return run(console, options.check, options.port)
    except (DemoError, PyRuntimeError, OSError) as error:
        console.print("[red]failed:[/red]", end=" ")
        console.print(str(error), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nstopped")
        return 130


def run(console: Console, check: bool, port: int) -> int:
    """Build, then check or serve until Ctrl-C."""
    started = time.perf_counter()
    demos: list[Demo] = [Search(), Story(), Sounds(), Digits()]
    built = build_site(demos, console)
    if check:
        check_site(SITE, built, console)
        pictures = ", ".join(str(p.relative_to(SITE.parent.parent)) for p in sorted(SITE.rglob("*.png")))
        missing = [demo.name for demo in demos if demo not in built]
        without = f" [yellow]without {', '.join(missing)}[/yellow]" if missing else ""
        console.print(
            f"[green]The demo works[/green]{without}; {time.perf_counter() - started:.0f} s. {pictures}"
        )
        return 0
    with bind(SITE, port) as server:
        if server.server_port != port:
            console.print(f"Port {port} is taken.")
        address = f"http://127.0.0.1:{server.server_port}/"
        console.print(f"\nOpen [bold cyan]{address}[/bold cyan]   (Ctrl-C ends)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
