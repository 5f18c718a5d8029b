"""Uses the sound page in a browser as visitors do, and compares what it hears with the trained network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from demo_site.checks import Checks
from demo_site.page import Page, State, each_device, on_desktop, on_phone
from demo_site.recurrent import Parameters
from demo_site.sounds.hearing import bands, shares, sounds_in
from demo_site.sounds.synthesis import to_floats

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TOLERANCE = 1e-3  # of logarithms of power, in float32, and of shares
IN_SOFTWARE = 1  # sound that is heard on WebGPU, where a chunk may take longer than it lasts

KINDS = ("wasm", "webgpu")

Played = Mapping[str, NDArray[np.int16]]


def check_page(
    browser: Browser, address: str, folder: Path, parameters: Parameters, played: Played, checks: Checks
) -> None:
    """All checks of the page at `address`, whose files are in `folder`; pictures of it are left there.

    Args:
        played: the samples of each sound that the page has a button for.
    """
    with on_desktop(browser, address, folder, checks, permissions=["microphone"]) as visit:
        for kind, name in each_device(visit, ["ready", "run"], checks, KINDS):
            names = list(played)[:IN_SOFTWARE] if kind == "webgpu" else list(played)
            states = {each: heard(visit, each) for each in names}
            apart = max(_apart(state, parameters, played[each]) for each, state in states.items())
            checks.add(
                f"{name} hears as the trained network",
                apart <= TOLERANCE,
                f"{len(names)} sounds, within {apart:.0e}",
            )
            wrong = {each: s["sounds"] for each, s in states.items() if set(s["sounds"]) != {each}}
            checks.add(f"{name} names the sounds", not wrong, f"{wrong}" if wrong else ", ".join(names))
        visit.choose("wasm")
        visit.page.screenshot(path=folder / "screenshot.png", full_page=True)
        check_playing(visit, checks)
        check_microphone(visit, checks)
    with on_phone(browser, address, folder, checks) as phone:
        for each in ("siren", "whistle up", "voice"):
            heard(phone, each)
    check_refused(browser, address, checks)
    check_silent(browser, address, checks)


def heard(visit: Page, name: str) -> State:
    """What the page hears in a sound of its buttons, as fast as it can."""
    state: State = visit.page.evaluate("(name) => demo(name)", name)
    return state


def _apart(state: State, parameters: Parameters, samples: NDArray[np.int16]) -> float:
    """How far the page's spectrogram and shares are from NumPy's; infinite where there are more or less."""
    seen = bands(to_floats(samples))
    likely = shares(parameters, seen[:, None])[:, 0]
    if set(state["sounds"]) != set(sounds_in(likely)):
        return float(np.inf)
    apart = 0.0
    for found, expected in ((state["bands"], seen), (state["shares"], likely)):
        if len(found) != expected.size:
            return float(np.inf)
        apart = max(apart, float(np.abs(np.array(found) - expected.ravel()).max()))
    return apart


def check_playing(visit: Page, checks: Checks) -> None:
    """By keyboard a sound is played, and heard as it passes; its button stops it."""
    page = visit.page
    button = page.locator("#examples button", has_text="siren")
    button.press("Enter")
    visit.wait("#examples [aria-pressed=true]", "nothing is played")
    visit.wait("#sounds li:text-is('siren')", "the siren is not heard")
    visit.wait("#examples:not(:has([aria-pressed=true]))", "the siren does not end")
    sounds = visit.state()["sounds"]  # where chunks begin is chance: a moment may be heard as something else
    checks.add("what is played is heard", "siren" in sounds, ", ".join(sounds))
    page.locator("#examples button", has_text="hum").click()
    button = page.locator("#examples [aria-pressed=true]")
    button.click()
    visit.wait("#examples:not(:has([aria-pressed=true]))", "the button does not stop the sound")
    checks.add("the button stops what it plays", True, "hum")


def check_microphone(visit: Page, checks: Checks) -> None:
    """The microphone, here one that beeps, is drawn and named until it is switched off."""
    page = visit.page
    page.get_by_role("button", name="Microphone").click()
    visit.wait("#microphone[aria-pressed=true]", "the microphone is not on")
    visit.wait("#sounds li", "nothing is heard")
    page.get_by_role("button", name="Microphone").click()
    visit.wait("#microphone[aria-pressed=false]", "the microphone is not off")
    told: Any = visit.state()
    checks.add("the microphone is heard", bool(told["sounds"]), ", ".join(told["sounds"]))


def check_refused(browser: Browser, address: str, checks: Checks) -> None:
    """A visitor who allows no microphone is told so, and can go on."""
    visit = Page(browser, f"{address}?on=wasm", script=REFUSED)
    visit.page.get_by_role("button", name="Microphone").click()
    visit.wait("#trouble:not(:empty)", "nothing is told")
    told = visit.page.locator("#trouble").inner_text()
    off = visit.page.locator("#microphone").get_attribute("aria-pressed") == "false"
    checks.add("without a microphone the page says why", off and "Permission denied" in told, told)
    checks.add(
        "without a microphone sounds are heard", set(heard(visit, "clap")["sounds"]) == {"clap"}, "clap"
    )
    visit.close()


def check_silent(browser: Browser, address: str, checks: Checks) -> None:
    """A visitor without a loudspeaker is told so; the pack hears sounds, and the microphone, all the same."""
    visit = Page(browser, f"{address}?on=wasm", script=SILENT, permissions=["microphone"])
    page = visit.page
    page.locator("#examples button", has_text="siren").click()
    visit.wait("#trouble:not(:empty)", "nothing is told")
    told = page.locator("#trouble").inner_text()
    checks.add("without a sound output the page says so", "no sound output" in told, told)
    visit.wait("#sounds li:text-is('siren')", "the siren is not heard")
    visit.wait("#examples:not(:has([aria-pressed=true]))", "the siren does not end")
    checks.add("without a sound output sounds are heard", "siren" in visit.state()["sounds"], "siren")
    page.get_by_role("button", name="Microphone").click()
    visit.wait("#microphone[aria-pressed=true]", "the microphone is not on")
    visit.wait("#sounds li", "nothing is heard")
    checks.add("without a sound output the microphone is heard", True, "")
    visit.close()


# as browsers are where there is no sound output: a context waits for ever, if it is to have one
SILENT = """
const { resume } = AudioContext.prototype;
const { get } = Object.getOwnPropertyDescriptor(BaseAudioContext.prototype, "state");
const silent = (context) => context.sinkId?.type === "none";
AudioContext.prototype.resume = function () {
  return silent(this) ? resume.call(this) : new Promise(() => {});
};
Object.defineProperty(BaseAudioContext.prototype, "state", {
  get() {
    return silent(this) ? get.call(this) : "suspended";
  },
});
"""

REFUSED = """
MediaDevices.prototype.getUserMedia = async () => {
  throw new DOMException("Permission denied", "NotAllowedError");
};
"""
