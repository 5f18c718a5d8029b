"""Opens the built site in headless Chromium and uses it as a visitor would, on both devices."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from demo_site.digits.build import Digit
from demo_site.digits.drawing import to_image
from demo_site.serve import serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
)
DEVICES = ("webgpu", "wasm")
TOLERANCE = 1e-4
READY = 120_000  # ms; WebGPU in software compiles slowly


class Checks:
    """What was found, for the table; any failure fails the whole."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, bool, str]] = []

    def add(self, what: str, right: bool, found: str = "") -> None:
        """Note a check's outcome."""
        self.rows.append((what, right, found))

    @property
    def failed(self) -> list[str]:
        """What went wrong."""
        return [f"{what}: {found}" for what, right, found in self.rows if not right]


def check_site(site: Path, cases: Sequence[Digit], console: Console) -> None:
    """Check every page of `site`; a screenshot lands beside it, in light and as a phone shows it.

    Raises:
        RuntimeError: no Chromium, or a check failed.
    """
    from playwright.sync_api import Error, sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise RuntimeError("chromium is not on PATH: apt-get install chromium, or leave out --check")
    checks = Checks()
    with serving(site) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS])
        page = browser.new_page(viewport={"width": 1180, "height": 860}, color_scheme="light")
        trouble: list[str] = []
        page.on("console", lambda m: trouble.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: trouble.append(str(e)))
        page.on("requestfailed", lambda r: trouble.append(f"{r.url}: {r.failure}"))
        page.goto(address)
        try:  # not wait_for_function, whose eval the page's policy forbids
            page.wait_for_selector("html[data-ready]", state="attached", timeout=READY)
        except Error as error:
            raise RuntimeError(f"the page did not get ready: {'; '.join(trouble) or error}") from error
        page.screenshot(path=site / "screenshot.png")
        _unseen(page, cases, checks)
        _examples(page, checks)
        _pointer(page, checks)
        _numbers(page, checks)
        page.set_viewport_size({"width": 390, "height": 844})
        page.emulate_media(color_scheme="dark")
        width = page.evaluate("document.documentElement.scrollWidth")
        checks.add("fits a phone", width <= 390, f"{width} pixels wide")
        page.screenshot(path=site / "screenshot-phone.png", full_page=True)
        checks.add("no errors or warnings", not trouble, "; ".join(trouble[:3]))
        browser.close()
    _show(checks, console)
    if checks.failed:
        raise RuntimeError("\n".join(checks.failed))
    console.print(f"looks like this: {site / 'screenshot.png'}")


def _unseen(page: Page, cases: Sequence[Digit], checks: Checks) -> None:
    """Each device gives the trained network's own probabilities for digits of the data set."""
    worst = dict.fromkeys(DEVICES, 0.0)
    for case in cases:
        given = page.evaluate("(image) => demo.run(image)", case.image.ravel().tolist())
        for device, shares in zip(DEVICES, given, strict=True):
            error = float(np.abs(np.array(shares) - case.expected).max()) if shares else np.inf
            worst[device] = max(worst[device], error)
    for device, error in zip(DEVICES, page.evaluate("demo.errors"), strict=True):
        found = error or f"differs by at most {worst[device]:.1e} on {len(cases)} digits"
        checks.add(f"{device} equals the trained network", worst[device] <= TOLERANCE, found)


def _examples(page: Page, checks: Checks) -> None:
    """Each example button draws a digit that both devices recognise, from the image that Python makes too."""
    read: dict[str, list[int]] = {device: [] for device in DEVICES}
    twins = 0.0
    for digit in range(10):
        page.click(f"#examples button:nth-child({digit + 1})")
        for device, shares in zip(DEVICES, page.evaluate("demo.shown()"), strict=True):
            read[device].append(int(np.argmax(shares)) if shares else -1)
        drawn = page.evaluate("demo.drawn()")
        image = to_image(_strokes(drawn["strokes"]))
        twins = max(twins, float(np.abs(image.ravel() - np.array(drawn["image"])).max()))
    for device in DEVICES:
        checks.add(f"{device} reads the ten examples", read[device] == list(range(10)), f"{read[device]}")
    checks.add("page and training prepare images alike", twins <= TOLERANCE, f"differ by at most {twins:.1e}")


def _pointer(page: Page, checks: Checks) -> None:
    """A pointer's stroke moves the bars while it is drawn; Clear empties paper and bars."""
    page.click("#clear")
    empty = page.evaluate("demo.shown()")
    shown = page.locator(".bars span").all_inner_texts()
    checks.add("Clear empties the bars", empty == [None, None] and not any(shown), " ".join(shown).strip())
    box = page.locator("#paper").bounding_box()
    assert box is not None

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.mouse.move(*at(0.5, 0.12))
    page.mouse.down()
    page.mouse.move(*at(0.5, 0.4), steps=8)
    halfway = page.evaluate("demo.shown()")
    page.mouse.move(*at(0.5, 0.9), steps=12)
    moved = all(shares is not None for shares in halfway)
    checks.add("bars move while the pen is down", moved, "" if moved else "nothing was shown")
    page.mouse.up()
    read = [int(np.argmax(shares)) if shares else -1 for shares in page.evaluate("demo.shown()")]
    checks.add("an upright stroke is a 1", read == [1, 1], f"read as {read}")
    best = page.locator(".bars .best b").all_inner_texts()
    checks.add("the likeliest bar stands out", best == ["1", "1"], f"{best}")


def _numbers(page: Page, checks: Checks) -> None:
    """Both cards tell time and bytes."""
    for label, unit in (("time", "ms"), ("loaded", "ms"), ("bytes", "kB")):
        found = page.locator(f".device .{label}").all_inner_texts()
        right = len(found) == len(DEVICES) and all(text.endswith(unit) for text in found)
        checks.add(f"{label} of both devices", right, ", ".join(found))


def _strokes(points: list[list[dict[str, float]]]) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    return [np.array([[p["x"], p["y"]] for p in stroke], dtype=np.float64) for stroke in points]


def _show(checks: Checks, console: Console) -> None:
    table = Table("", "check", "found", title="in headless Chromium", title_justify="left")
    for what, right, found in checks.rows:
        table.add_row("[green]ok[/green]" if right else "[red]no[/red]", what, found)
    console.print(table)
