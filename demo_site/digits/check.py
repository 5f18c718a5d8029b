"""Uses the digit page in a browser as visitors do, and compares what it shows with the trained network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from demo_site.checks import Checks
from demo_site.demo import RUNTIME, DemoError
from demo_site.digits.drawing import Stroke, to_image
from demo_site.digits.network import CLASSES, SIDE, Array, Parameters, probabilities
from demo_site.page import check_policy, check_profile, check_quiet, check_source
from demo_site.visit import DESKTOP, HANDHELD, PHONE, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DEVICES = {"webgpu": "WebGPU", "wasm": "Wasm"}  # in the order of their cards
TOLERANCE = 1e-4
UNSEEN = 20  # digits of the data set that are tried
TELL = "(image) => demo(image)"  # what the page tells of itself; see web/main.js
NO_GPU = "Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined })"

State = Mapping[str, Any]


class DigitVisit(Visit):
    """The opened digit page."""

    def state(self, image: Sequence[float] | None = None) -> State:
        """What the page shows when it has run this image, or else all that was drawn."""
        state: State = self.page.evaluate(TELL, image)
        return state

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements of the cards, in order."""
        return self.page.locator(f".device {selector}").all_inner_texts()

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where on the page a point of the paper is, given in 0 to 1."""
        box = self.page.locator("#paper").bounding_box()
        if box is None:
            raise DemoError("the page shows no paper to draw on")
        return box["x"] + x * box["width"], box["y"] + y * box["height"]


def check_page(
    browser: Browser, address: str, folder: Path, parameters: Parameters, unseen: Array, checks: Checks
) -> None:
    """All checks of the page at `address`, whose files are in `folder`; pictures of it are left there.

    Args:
        unseen: images [n, 8, 8] that the network was not trained on.
    """

    def expected(image: Any) -> Array:
        shares: Array = probabilities(parameters, np.array(image, np.float32).reshape(1, SIDE, SIDE))[0]
        return shares

    visit = DigitVisit(browser, address, viewport=DESKTOP, color_scheme="light")
    errors = visit.state()["errors"]
    checks.add("both devices load", errors == dict.fromkeys(DEVICES), _errors(errors))
    visit.page.wait_for_timeout(300)  # the bars' movement
    visit.page.screenshot(path=folder / "screenshot.png", full_page=True)
    check_source(visit, folder, checks)
    check_unseen(visit, unseen[:UNSEEN], expected, checks)
    check_examples(visit, expected, checks)
    check_pointer(visit, expected, checks)
    check_figures(visit, folder, checks)
    for device in DEVICES:
        check_profile(visit, folder / "digits.pack", device, checks, f".device.{device}")
    check_policy(visit, checks)
    check_quiet(visit, "", checks)
    visit.close()
    check_phone(browser, address, folder, checks)
    check_without_gpu(browser, address, folder, checks)


def check_unseen(visit: DigitVisit, images: Array, expected: Callable[[Any], Array], checks: Checks) -> None:
    """Each device gives the trained network's own probabilities, for digits of the data set."""
    states = [visit.state(image.ravel().tolist()) for image in images]
    for device, name in DEVICES.items():
        apart = [_apart(s["shares"][device], expected(i)) for s, i in zip(states, images, strict=True)]
        worst = max(apart, default=np.inf)
        found = f"differs by at most {worst:.1e} on {len(apart)} digits"
        checks.add(f"{name} equals the trained network", worst <= TOLERANCE, found)


def check_examples(visit: DigitVisit, expected: Callable[[Any], Array], checks: Checks) -> None:
    """Each example's button draws a digit that both devices read, from the image that Python makes too."""
    read: dict[str, list[int]] = {device: [] for device in DEVICES}
    shown: list[list[str]] = []
    twins, devices, network = 0.0, 0.0, 0.0
    for digit in range(CLASSES):
        button = visit.page.get_by_role("button", name=f"Draw a {digit}")
        if digit % 2:
            button.click()
        else:  # as visitors do who have no pointer
            button.press("Enter")
        state = visit.state()
        shares = state["shares"]
        for device in DEVICES:
            read[device].append(_likeliest(shares[device]))
            network = max(network, _apart(shares[device], expected(state["image"])))
        devices = max(devices, _apart(shares["webgpu"], shares["wasm"]))
        twins = max(twins, _apart(state["image"], to_image(_strokes(state)).ravel()))
        shown.append(visit.texts(".bars .best b"))
    for device, name in DEVICES.items():
        checks.add(f"{name} reads the ten examples", read[device] == list(range(CLASSES)), f"{read[device]}")
    wanted = [[str(digit)] * len(DEVICES) for digit in range(CLASSES)]
    checks.add("the likeliest bars stand out", shown == wanted, " ".join("/".join(each) for each in shown))
    for what, apart in (
        ("both devices agree", devices),
        ("devices equal the trained network", network),
        ("page and training prepare images alike", twins),
    ):
        checks.add(what, apart <= TOLERANCE, f"differ by at most {apart:.1e} on the examples")


def check_pointer(visit: DigitVisit, expected: Callable[[Any], Array], checks: Checks) -> None:
    """A stroke of the mouse moves the bars while it is drawn, and the bars show what was computed."""
    page = visit.page
    _check_clear(visit, "Clear empties the page", checks)
    page.mouse.move(*visit.point(0.25, 0.15))
    page.mouse.down()
    page.mouse.move(*visit.point(0.75, 0.15), steps=12)
    halfway = visit.state()["shares"]
    bars = visit.texts(".bars span")
    page.mouse.move(*visit.point(0.42, 0.88), steps=16)
    page.mouse.up()
    state = visit.state()
    moved = [_apart(halfway[device], np.array(state["shares"][device] or [])) for device in DEVICES]
    live = len(bars) == 2 * CLASSES and all(bars) and all(0.01 < m <= 1 for m in moved)
    checks.add("bars move while the pen is down", live, f"by {', '.join(f'{m:.2f}' for m in moved)}")
    read = [_likeliest(state["shares"][device]) for device in DEVICES]
    checks.add("a drawn 7 is read as one", read == [7, 7], f"read as {read}")
    points = sum(len(stroke) for stroke in state["strokes"])
    right = len(state["strokes"]) == 1 and points > 10
    checks.add("the stroke is what the mouse drew", right, f"{points} points")
    percent = [round(100 * float(share)) for share in expected(state["image"])] * len(DEVICES)
    bars = visit.texts(".bars span")
    close = len(bars) == len(percent) and all(
        re.fullmatch(r"\d+ %", text) and abs(int(text[:-2]) - share) <= 1
        for text, share in zip(bars, percent, strict=True)
    )
    checks.add("the bars tell these probabilities", close, f"{bars[7]} and {bars[-3]}" if bars[9:] else "")
    _check_clear(visit, "Clear empties the page again", checks)


def _check_clear(visit: DigitVisit, what: str, checks: Checks) -> None:
    visit.page.get_by_role("button", name="Clear").click()
    state = visit.state()
    texts = visit.texts(".bars span")
    blank = len(texts) == len(DEVICES) * CLASSES and not any(texts)
    right = blank and not state["strokes"] and set(state["shares"].values()) == {None}
    checks.add(what, right and visit.page.locator(".best").count() == 0, "".join(texts))


def check_figures(visit: DigitVisit, folder: Path, checks: Checks) -> None:
    """Both cards tell times, and the bytes of the files that the device fetched."""
    for label in ("time", "loaded"):
        found = visit.texts(f".{label}")
        right = len(found) == len(DEVICES) and all(re.fullmatch(r"[\d.]+ m?s", text) for text in found)
        checks.add(f"{label} of both devices", right, ", ".join(found))
    pack = folder / "digits.pack"
    weights = sum(file.stat().st_size for file in pack.glob("*.safetensors"))
    loaded = visit.page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    used = {url.rsplit("/", 1)[1] for url in loaded if "/js/" in url}
    webgpu, wasm = (set(RUNTIME[device]) for device in ("webgpu", "wasm"))
    right = webgpu <= used <= webgpu | wasm  # a Worker's script is not always told
    checks.add("of the runtime the page loads what it needs", right, ", ".join(sorted(used)))
    runtime = [
        sum((folder.parent / "js" / name).stat().st_size for name in RUNTIME[device]) for device in DEVICES
    ]
    wanted: dict[str, list[Path | int]] = {
        "code": [pack / "shaders.base.wgsl", pack / "model.relaxed.wasm"],
        "weights": [weights, weights],
        "runtime": [*runtime],
    }
    for label, sizes in wanted.items():
        told = [_kilobytes(s.stat().st_size if isinstance(s, Path) else s) for s in sizes]
        found = visit.texts(f".{label}")
        checks.add(f"bytes of {label}", found == told, ", ".join(found))


def check_phone(browser: Browser, address: str, folder: Path, checks: Checks) -> None:
    """On a phone, dark: nothing is cut off, and a finger draws rather than scrolls."""
    visit = DigitVisit(browser, address, **HANDHELD, color_scheme="dark")
    width = visit.page.evaluate("document.documentElement.scrollWidth")
    checks.add("fits a phone", width <= PHONE["width"], f"{width} pixels wide")
    visit.page.screenshot(path=folder / "screenshot-phone.png", full_page=True)
    before = visit.page.evaluate("scrollY")
    swipe(visit, [(0.5, 0.9 - step / 20) for step in range(16)])
    state = visit.state()
    read = [_likeliest(state["shares"][device]) for device in DEVICES]
    right = read == [1, 1] and visit.page.evaluate("scrollY") == before and len(state["strokes"]) == 1
    checks.add("a finger's upright stroke is a 1", right, f"read as {read}")
    check_quiet(visit, "on a phone", checks)
    visit.close()


def swipe(visit: DigitVisit, path: Sequence[tuple[float, float]]) -> None:
    """Draw with a finger, through the browser's own input: synthetic events would not scroll."""
    session = visit.page.context.new_cdp_session(visit.page)

    def send(kind: str, points: list[dict[str, float]]) -> None:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    spots = [dict(zip("xy", visit.point(*spot), strict=True)) for spot in path]
    send("touchStart", spots[:1])
    for spot in spots[1:]:
        send("touchMove", [spot])
    send("touchEnd", [])


def check_without_gpu(browser: Browser, address: str, folder: Path, checks: Checks) -> None:
    """Without WebGPU its card says so, in the runtime's words, and Wasm goes on."""
    visit = DigitVisit(browser, address, NO_GPU, viewport=DESKTOP, color_scheme="light")
    visit.page.get_by_role("button", name="Draw a 3").click()
    state = visit.state()
    status = visit.texts(".status")[0]
    told = "navigator.gpu is missing" in status and status.endswith("(device)")
    checks.add("without WebGPU its card says why", told, status)
    read = [_likeliest(state["shares"][device]) for device in DEVICES]
    checks.add("without WebGPU Wasm goes on", read == [-1, 3], f"read as {read}")
    check_quiet(visit, "without WebGPU", checks)
    visit.page.screenshot(path=folder / "screenshot-no-webgpu.png", full_page=True)
    visit.close()


def _strokes(state: State) -> list[Stroke]:
    return [np.array([[p["x"], p["y"]] for p in stroke], np.float64) for stroke in state["strokes"]]


def _likeliest(shares: Sequence[float] | None) -> int:
    return int(np.argmax(shares)) if shares else -1


def _apart(found: Sequence[float] | None, expected: Any) -> float:
    """The largest difference; infinite where nothing was found, or something else than numbers."""
    if not found or len(found) != len(expected if expected is not None else ()):
        return float(np.inf)
    apart = float(np.abs(np.array(found, np.float64) - np.array(expected, np.float64)).max())
    return float(np.inf) if np.isnan(apart) else apart


def _errors(errors: Mapping[str, str | None]) -> str:
    return json.dumps({k: v for k, v in errors.items() if v}) if any(errors.values()) else ""


def _kilobytes(size: int) -> str:
    return f"{size / 1000:.1f} kB"
