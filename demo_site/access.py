"""Asks axe-core what on the site's pages keeps people out: contrast, names, what a keyboard cannot reach."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo_site.checks import Checks
from demo_site.demo import Demo, DemoError
from demo_site.visit import DESKTOP, HANDHELD, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = ("serious", "critical")
RUN = """async () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const { violations, passes } = await axe.run({ resultTypes: ["violations"] });
  const places = (nodes) => nodes.map(({ target }) => target.join(" "));
  const told = violations.map(({ id, impact, nodes }) => ({ id, impact, targets: places(nodes) }));
  return { violations: told, passes: passes.length };
}"""
SCREENS: dict[str, dict[str, Any]] = {"": {"viewport": DESKTOP}, " on a phone": HANDHELD}


def check_access(browser: Browser, address: str, demos: Sequence[Demo], checks: Checks) -> None:
    """Every page, light and dark, on a large screen and on a phone, has no serious or critical violation.

    Raises:
        DemoError: axe-core is not installed.
    """
    if not AXE.is_file():
        raise DemoError(f"{AXE} is missing: make setup")
    program = AXE.read_text(encoding="utf-8")
    pages = {"front page": (address, "main a")}
    pages.update({demo.name: (f"{address}{demo.name}/?on=wasm", "html[data-ready]") for demo in demos})
    for name, (url, ready) in pages.items():
        visit = Visit(browser, url, ready=ready, reduced_motion="reduce", **SCREENS[""])
        visit.page.evaluate(program)
        for scheme in ("light", "dark"):
            visit.page.emulate_media(color_scheme=scheme)
            for screen, options in SCREENS.items():
                visit.page.set_viewport_size(options["viewport"])
                found = visit.page.evaluate(RUN)
                grave = [each for each in found["violations"] if each["impact"] in GRAVE]
                told = "; ".join(f"{each['id']}: {', '.join(each['targets'][:3])}" for each in grave)
                right = not grave and found["passes"] > 0
                checks.add(
                    f"{name} is for all, {scheme}{screen}", right, told or f"{found['passes']} rules kept"
                )
        visit.close()
