"""Uses the story page in a browser as visitors do, and compares what it writes with the trained network."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from demo_site.checks import Checks
from demo_site.page import Page, State, check_profile, each_device, on_desktop, on_phone
from demo_site.recurrent import Parameters
from demo_site.story.grammar import END
from demo_site.story.training import numbers, shares

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TOLERANCE = 1e-4
TRIES = 5  # until a story is stopped before it ends by itself
STRANGE = "Xaë and 7 of "


def check_page(browser: Browser, address: str, folder: Path, parameters: Parameters, checks: Checks) -> None:
    """All checks of the page at `address`, whose files are in `folder`; pictures of it are left there."""
    with on_desktop(browser, address, folder, checks) as visit:
        visit.page.locator("#fast").check()
        check_story(visit.state(), parameters, "opens with a story", checks)
        visit.page.screenshot(path=folder / "screenshot.png", full_page=True)
        for kind, name in each_device(visit, ["ready", "character"], checks):
            check_story(visit.state(), parameters, f"{name} writes as the trained network", checks)
            rate = visit.page.locator(f"tr.{kind} td.rate").inner_text()
            checks.add(f"{name} tells tokens per second", bool(re.fullmatch(r"[\d,]+", rate)), rate)
        if visit.state()["kind"] == "webgpu":
            check_profile(visit, folder / "story.pack", "webgpu", checks)
        visit.choose("wasm")
        check_controls(visit, parameters, checks)
        check_stop(visit, checks)
    with on_phone(browser, address, folder, checks) as phone:
        phone.page.locator("#fast").tap()
        phone.state()
        phone.page.get_by_role("button", name="Emma").tap()
        state = phone.state()
        check_story(state, parameters, "a tap begins another story", checks)
        checks.add("it begins as asked", state["shown"].startswith("Emma "), state["shown"][:40])


def check_story(state: State, parameters: Parameters, what: str, checks: Checks) -> None:
    """Each character was as likely as the network says that it is after all the ones before."""
    begun, text = state["beginning"], state["text"]
    whole = state["shown"] == begun + text and len(text) == len(state["shares"]) > 0
    apart = _apart(state, parameters) if whole else np.inf
    checks.add(what, whole and apart <= TOLERANCE, f"{len(text)} characters, shares within {apart:.0e}")


def _apart(state: State, parameters: Parameters) -> float:
    begun, text = state["beginning"], state["text"]
    likely = shares(parameters, END + begun + text[:-1], state["temperature"])[len(begun) :]
    return float(np.abs(likely[np.arange(len(text)), numbers(text)] - state["shares"]).max())


def check_controls(visit: Page, parameters: Parameters, checks: Checks) -> None:
    """By keyboard alone: another beginning with characters that it has never seen, colder, written on."""
    page = visit.page
    page.locator("#temperature").focus()
    page.keyboard.press("Home")
    page.locator("#beginning").fill(STRANGE)
    page.locator("#beginning").press("Enter")
    state = visit.state()
    told = page.locator("#strange").inner_text()
    kept = "".join(c for c in STRANGE if c not in "Xë7")
    right = state["beginning"] == kept and all(c in told for c in "Xë7")
    checks.add("what it has never seen is left out, and told", right, told)
    least = page.locator("#temperature").get_attribute("min")
    degrees = page.locator("#degrees").inner_text()
    checks.add(
        "the temperature is told", float(degrees) == float(f"{least}") == state["temperature"], degrees
    )
    check_story(state, parameters, "coldly it writes as the trained network", checks)


def check_stop(visit: Page, checks: Checks) -> None:
    """A story that comes slowly grows, and stops where it is told to: by Escape, and by the button."""
    page = visit.page
    page.locator("#fast").uncheck()
    button = page.locator("#write")
    stops: dict[str, Callable[[], None]] = {
        "Escape": lambda: page.keyboard.press("Escape"),
        "the button": button.click,
    }
    for name, stop in stops.items():
        for _ in range(TRIES):
            page.locator("#beginning").fill("Once ")
            page.locator("#beginning").press("Enter")
            visit.wait("#story span:nth-of-type(8)", "no story appears")
            during = button.inner_text()
            stop()
            state = visit.state()
            if state["stopped"]:
                break
        right = state["stopped"] and (during, button.inner_text()) == ("Stop", "Write")
        checks.add(f"{name} stops it", right, f"after {len(state['text'])} characters")
    checks.add("it stays as it was", visit.state()["shown"] == state["shown"], state["shown"])
