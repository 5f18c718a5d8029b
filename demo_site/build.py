"""Builds the site: each demo's folder, the front page, and the JavaScript runtime that the demos share."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from demo_site.demo import Demo, DemoError, UnavailableError
from pyruntime.cli.pages import filled, parts_of

HERE = Path(__file__).parent
RUNTIME = HERE.parent / "js_bindings" / "dist"
SITE = HERE / "dist"
SHARED = HERE.parent / "pyruntime" / "cli" / "page" / "shared"  # what pages import from ../shared/
PARTS = HERE / "parts"  # what the demos' pages have alike, beside the parts of all pages
NAME = "pyruntime"


def build_site(
    demos: Sequence[Demo], console: Console, site: Path = SITE, runtime: Path = RUNTIME
) -> list[Demo]:
    """Build everything beside `site` and rename it into place, so that a failure leaves the old site whole.

    Returns:
        The demos that the site has: those whose material can be had.

    Raises:
        DemoError: the JavaScript runtime is missing, a demo is not as good as it should be, or none is left.
        PyRuntimeError: a model could not be converted.
    """
    fresh, old = (site.with_name(f"{site.name}.{suffix}") for suffix in ("new", "old"))
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        copy_shared(fresh, runtime)
        built = [demo for demo in demos if _build(demo, fresh, console)]
        if not built:
            raise DemoError("no demo can be built here")
        write_pages(built, fresh)
        if site.exists():
            site.rename(old)
        fresh.rename(site)
    finally:
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
    return built


def _build(demo: Demo, site: Path, console: Console) -> bool:
    """Whether the demo could be built; the console tells why not."""
    try:
        demo.build(site, console)
    except UnavailableError as reason:
        shutil.rmtree(site / demo.name, ignore_errors=True)
        console.print(f"[bold yellow]The site goes without the demo '{demo.name}'[/bold yellow]:", end=" ")
        console.print(str(reason), markup=False)
        return False
    return True


def write_pages(demos: Sequence[Demo], site: Path) -> None:
    """Write the front page, and put into each demo's page what pages share, with links to the others."""
    cards = "\n".join(demo.card.read_text(encoding="utf-8").rstrip() for demo in demos)
    front = (HERE / "index.html").read_text(encoding="utf-8")
    (site / "index.html").write_text(filled(front, NAME, more={"cards": cards}), encoding="utf-8")
    parts = parts_of(PARTS)
    for demo in demos:
        page = site / demo.name / "index.html"
        text = page.read_text(encoding="utf-8")
        more = {**parts, "nav": _nav(demos, demo)}
        page.write_text(filled(text, f"{demo.title} · {NAME}", "../", more), encoding="utf-8")


def _nav(demos: Sequence[Demo], current: Demo) -> str:
    links = "".join(
        f'<a href="../{demo.name}/"{" aria-current=page" if demo is current else ""}>{demo.title}</a>'
        for demo in demos
    )
    return f'<nav aria-label="Demos"><a href="../">{NAME}</a>{links}</nav>'


def copy_shared(site: Path, runtime: Path = RUNTIME) -> None:
    """Write what the demos' pages share: styles, modules, and the JavaScript runtime.

    Raises:
        DemoError: the runtime is not built.
    """
    copy_runtime(runtime, site / "js")
    shutil.copytree(SHARED, site / "shared")
    shutil.copy(HERE / "front.css", site)


def copy_runtime(runtime: Path, to: Path) -> None:
    """Copy the npm package's modules, and the maps that browsers' developer tools ask for.

    Raises:
        DemoError: it is not built.
    """
    for name in ("pyruntime.js", "worker.js"):
        if not (runtime / name).is_file():
            raise DemoError(f"{runtime / name} is missing: npm --prefix js_bindings run build")
    to.mkdir(parents=True)
    for file in sorted(runtime.glob("*.js*")):
        shutil.copy(file, to)
