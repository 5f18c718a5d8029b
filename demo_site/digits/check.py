"""Uses the digit page as a visitor would, and compares what both devices say with the trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from demo_site.checks import Checks
from demo_site.demo import DemoError
from demo_site.digits.drawing import Stroke, to_image
from demo_site.digits.network import Array, Parameters, probabilities

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DEVICES = ("webgpu", "wasm")
TOLERANCE = 1e-4
UNSEEN = 20  # images of the data set to compare
READY = 120_000  # ms; WebGPU in software compiles slowly
PHONE = 390  # pixels across


def check_page(
    browser: Browser, address: str, folder: Path, parameters: Parameters, unseen: Array, checks: Checks
) -> None:
    """Check the page at `address`; screenshots land in `folder`, one light, one of a dark phone.

    Raises:
        DemoError: the page does not get ready.
    """
    page = browser.new_page(viewport={"width": 1180, "height": 860}, color_scheme="light")
    trouble: list[str] = []
    page.on("console", lambda m: trouble.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: trouble.append(str(e)))
    page.on("requestfailed", lambda r: trouble.append(f"{r.url}: {r.failure}"))
    page.goto(address)
    try:  # not wait_for_function, whose eval the page's policy forbids
        page.wait_for_selector("html[data-ready]", state="attached", timeout=READY)
    except browser_error() as error:
        raise DemoError(f"the digit page does not get ready: {'; '.join(trouble) or error}") from error
    page.screenshot(path=folder / "screenshot.png")
    _unseen(page, parameters, unseen[:UNSEEN], checks)
    _examples(page, checks)
    _pointer(page, checks)
    _cards(page, checks)
    page.set_viewport_size({"width": PHONE, "height": 844})
    page.emulate_media(color_scheme="dark")
    width = page.evaluate("document.documentElement.scrollWidth")
    checks.add("fits a phone", width <= PHONE, f"{width} pixels wide")
    page.screenshot(path=folder / "screenshot-phone.png", full_page=True)
    checks.add("no errors or warnings", not trouble, "; ".join(trouble[:3]))
    page.close()


def browser_error() -> type[Exception]:
    """Playwright's error, which only checks need to have installed."""
    from playwright.sync_api import Error

    return Error


def _shown(page: Page, image: Array | None = None) -> dict[str, Any]:
    """What the page shows: of an image, or of what was drawn."""
    given = None if image is None else image.ravel().tolist()
    shown: dict[str, Any] = page.evaluate("(given) => demo(given)", given)
    return shown


def _read(shares: list[float] | None) -> int:
    return int(np.argmax(shares)) if shares else -1


def _unseen(page: Page, parameters: Parameters, images: Array, checks: Checks) -> None:
    """Each device gives the trained network's own probabilities for digits of the data set."""
    worst = dict.fromkeys(DEVICES, 0.0)
    errors: dict[str, str | None] = dict.fromkeys(DEVICES)
    for image, expected in zip(images, probabilities(parameters, images), strict=True):
        shown = _shown(page, image)
        errors = shown["errors"]
        for device in DEVICES:
            shares = shown["shares"][device]
            error = float(np.abs(np.array(shares) - expected).max()) if shares else np.inf
            worst[device] = max(worst[device], error)
    for device in DEVICES:
        found = errors[device] or f"differs by at most {worst[device]:.1e} on {len(images)} digits"
        checks.add(f"{device} equals the trained network", worst[device] <= TOLERANCE, found)


def _examples(page: Page, checks: Checks) -> None:
    """Each example button draws a digit that both devices read, from the image that Python makes too."""
    read: dict[str, list[int]] = {device: [] for device in DEVICES}
    apart = 0.0
    for digit in range(10):
        page.click(f"#examples button:nth-child({digit + 1})")
        shown = _shown(page)
        for device in DEVICES:
            read[device].append(_read(shown["shares"][device]))
        strokes: list[Stroke] = [np.array([[p["x"], p["y"]] for p in s]) for s in shown["strokes"]]
        apart = max(apart, float(np.abs(to_image(strokes).ravel() - np.array(shown["image"])).max()))
    for device in DEVICES:
        checks.add(f"{device} reads the ten examples", read[device] == list(range(10)), f"{read[device]}")
    checks.add("page and training prepare images alike", apart <= TOLERANCE, f"differ by at most {apart:.1e}")


def _pointer(page: Page, checks: Checks) -> None:
    """A pointer's stroke moves the bars while it is drawn; Clear empties paper and bars."""
    page.click("#clear")
    shares = _shown(page)["shares"]
    bars = page.locator(".bars span").all_inner_texts()
    empty = not any(shares.values()) and len(bars) == 20 and not any(bars)
    checks.add("Clear empties the bars", empty, " ".join(bars).strip())
    box = page.locator("#paper").bounding_box()
    assert box is not None
    x = box["x"] + box["width"] / 2

    def move(y: float, steps: int = 1) -> None:
        page.mouse.move(x, box["y"] + y * box["height"], steps=steps)

    move(0.12)
    page.mouse.down()
    move(0.4, 8)
    halfway = _shown(page)["shares"]
    move(0.9, 12)
    checks.add("bars move while the pen is down", all(halfway.values()), "")
    page.mouse.up()
    shares = _shown(page)["shares"]
    read = [_read(shares[device]) for device in DEVICES]
    checks.add("an upright stroke is a 1", read == [1, 1], f"read as {read}")
    best = page.locator(".bars .best b").all_inner_texts()
    checks.add("the likeliest bar stands out", best == ["1", "1"], f"{best}")


def _cards(page: Page, checks: Checks) -> None:
    """Both cards tell times and bytes."""
    for label, units in (
        ("time", ("ms",)),
        ("loaded", ("ms", "s")),
        *((name, ("kB",)) for name in ("code", "weights", "runtime")),
    ):
        found = page.locator(f".device .{label}").all_inner_texts()
        right = len(found) == len(DEVICES) and all(text.split(" ")[-1] in units for text in found)
        checks.add(f"{label} on both cards", right, ", ".join(found))
