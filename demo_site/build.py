"""Builds the site: each demo's folder, and the JavaScript runtime that they share."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from demo_site.demo import Demo, DemoError

HERE = Path(__file__).parent
RUNTIME = HERE.parent / "js_bindings" / "dist"
SITE = HERE / "dist"


def build_site(demos: Sequence[Demo], console: Console, site: Path = SITE, runtime: Path = RUNTIME) -> None:
    """Build everything beside `site` and rename it into place, so that a failure leaves the old site whole.

    Raises:
        DemoError: the JavaScript runtime is not built, or a demo is not as good as it should be.
        PyRuntimeError: a model could not be converted.
    """
    fresh, old = (site.with_name(f"{site.name}.{suffix}") for suffix in ("new", "old"))
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        copy_runtime(runtime, fresh / "js")
        for demo in demos:
            demo.build(fresh, console)
        shutil.copy(HERE / "index.html", fresh)
        if site.exists():
            site.rename(old)
        fresh.rename(site)
    finally:
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)


def copy_runtime(runtime: Path, to: Path) -> None:
    """Copy the npm package's modules, and the maps that browsers' developer tools ask for.

    Raises:
        DemoError: it is not built.
    """
    for name in ("pyruntime.js", "shared.js", "worker.js"):
        if not (runtime / name).is_file():
            raise DemoError(f"{runtime / name} is missing: npm --prefix js_bindings run build")
    to.mkdir(parents=True)
    for file in sorted(runtime.glob("*.js*")):
        shutil.copy(file, to)
