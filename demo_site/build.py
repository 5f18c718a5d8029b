"""Builds the site: each demo's pages and pack, and the JavaScript runtime that they share."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from demo_site.digits.build import Digit, build_digits

HERE = Path(__file__).parent
RUNTIME = HERE.parent / "js_bindings" / "dist"
SITE = HERE / "dist"


def build_site(console: Console, site: Path = SITE) -> list[Digit]:
    """Build everything beside `site` and rename it into place, so that a failure leaves the old site whole.

    Returns:
        What the pages' check compares with: the digits that the network was not trained on.

    Raises:
        FileNotFoundError: the JavaScript runtime is not built.
        PyRuntimeError: the model could not be converted.
    """
    scripts = [RUNTIME / name for name in ("pyruntime.js", "shared.js", "worker.js")]
    for script in scripts:
        if not script.is_file():
            raise FileNotFoundError(f"{script} is missing: npm --prefix js_bindings run build")
    fresh = site.with_name(site.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        (fresh / "js").mkdir(parents=True)
        for script in scripts:
            shutil.copy(script, fresh / "js")
        cases = build_digits(fresh, console)
        shutil.rmtree(site, ignore_errors=True)
        fresh.rename(site)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return cases
