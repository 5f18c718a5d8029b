"""Builds the documentation's site in build/docs, then with --serve serves it on 127.0.0.1.

Whatever its tools warn of is an error: a link that leads nowhere, a page that no other one leads to, a
docstring that cannot be read.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shutil
import subprocess
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from docs_site import sources

ROOT = sources.ROOT
HERE = Path(__file__).parent
SITE = ROOT / "build" / "docs"
TYPES = ROOT / "js_bindings" / "dist" / "index.d.ts"
TYPEDOC = HERE / "node_modules" / ".bin" / "typedoc"
PORT = 8001


class SiteError(Exception):
    """The site cannot be built; the message says why."""


def build(site: Path) -> None:
    """Write the site into a folder, whose content it replaces. Raises SiteError."""
    for needed, how in ((TYPEDOC, "make setup"), (TYPES, "npm --prefix js_bindings run build")):
        if not needed.exists():
            raise SiteError(f"{needed.relative_to(ROOT)} is missing: {how}")
    pages = site.with_name(f"{site.name}.pages")
    for folder in (pages, site):
        shutil.rmtree(folder, ignore_errors=True)
    pages.mkdir(parents=True)
    try:
        sources.gather(pages)
    except sources.LinkError as error:
        raise SiteError(str(error)) from None
    reference = pages / "reference"
    run(
        "node",
        str(TYPEDOC),
        "--options",
        str(HERE / "typedoc.json"),
        "--logLevel",
        "Warn",
        "--out",
        str(reference),
    )
    commands = ("typer", "pyruntime.cli.app", "utils", "docs", "--name", "pyruntime")
    run(
        sys.executable,
        "-m",
        *commands,
        "--title",
        "Commands",
        "--output",
        str(reference / "commands.md"),
        quiet=True,
    )
    settings = ("--conf-dir", str(HERE), "--fail-on-warning", "--keep-going", "--quiet", "--fresh-env")
    doctrees = ("--doctree-dir", str(pages / ".doctrees"))
    run(sys.executable, "-m", "sphinx", *settings, *doctrees, str(pages), str(site))


def run(*command: str, quiet: bool = False) -> None:
    """Run a tool from the root. Raises SiteError where it fails."""
    if subprocess.call(command, cwd=ROOT, stdout=subprocess.DEVNULL if quiet else None):
        raise SiteError(f"failed: {' '.join(command)}")


def serve(site: Path, port: int) -> None:
    """Serve a folder until Ctrl-C; on another port where this one is taken."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(site))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with server, contextlib.suppress(KeyboardInterrupt):
        print(f"Open http://127.0.0.1:{server.server_port}/   (Ctrl-C ends)", flush=True)
        server.serve_forever()


def main() -> int:
    """The exit status: 0 where all went well."""
    parser = argparse.ArgumentParser(prog="python -m docs_site.main", description=__doc__)
    parser.add_argument("--serve", action="store_true", help="serve the site when it is built")
    parser.add_argument("--port", type=int, default=PORT, help=f"where to serve; {PORT} if not given")
    parser.add_argument(
        "--out", type=Path, default=SITE, help=f"the site's folder; {os.path.relpath(SITE)} if not given"
    )
    options = parser.parse_args()
    try:
        build(options.out.resolve())
    except SiteError as error:
        print(f"docs: {error}", file=sys.stderr)
        return 1
    print(f"{os.path.relpath(options.out)}: {sum(1 for _ in options.out.rglob('*.html'))} pages")
    if options.serve:
        serve(options.out, options.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
