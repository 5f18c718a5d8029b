"""What is checked alike on the pages with a choice of devices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo_site.checks import Checks
from demo_site.demo import DemoError
from demo_site.serve import HEADERS
from demo_site.visit import DESKTOP, HANDHELD, PHONE, READY, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DEVICES = {"wasm": "Wasm", "threads": "Wasm with threads", "webgpu": "WebGPU"}

State = Mapping[str, Any]


class Page(Visit):
    """An opened page whose `demo()` tells what it shows; see the pages' main.js."""

    def state(self) -> State:
        """What the page shows when it has done what was asked for."""
        state: State = self.page.evaluate("demo()")
        return state

    def choose(self, kind: str) -> State:
        """Switch to a device; what the page shows when it is ready, or failed."""
        self.page.locator(f"input[value={kind}]").check()
        for _ in range(READY // 100):
            state = self.state()
            if state["error"] or (state["kind"] == kind and state["bytes"]):
                return state
            self.page.wait_for_timeout(100)
        told = self.page.locator("#status").inner_text()
        raise DemoError(f"{kind} does not get ready: {'; '.join([told, *self.trouble])}")

    def can_choose(self, kind: str, checks: Checks) -> bool:
        """Whether a device is ready; off is only what threads may be, on one core."""
        name, row = DEVICES[kind], self.page.locator(f"tr.{kind}")
        if row.locator("input").is_disabled():
            reason = row.locator("small").inner_text()
            checks.add(f"{name} is off", kind == "threads" and "one core" in reason, reason)
            return False
        state = self.choose(kind)
        checks.add(
            f"{name} is ready", not state["error"], state["error"] or row.locator("td.ready").inner_text()
        )
        return not state["error"]


def check_times(visit: Page, kind: str, columns: Sequence[str], checks: Checks) -> None:
    """The row of a device tells its times."""
    found = [visit.page.locator(f"tr.{kind} td.{column}").inner_text() for column in columns]
    right = all(re.fullmatch(r"[\d.]+ m?s", text) for text in found)
    checks.add(f"{DEVICES[kind]} tells its times", right, ", ".join(found))


def check_source(visit: Visit, folder: Path, checks: Checks) -> None:
    """By keyboard alone "view source" opens, and shows a module that the page runs."""
    visit.page.locator("#source summary").press("Enter")
    visit.wait("#source[data-shows] code", "the source is not shown")
    name = visit.page.locator("#source").get_attribute("data-shows")
    shown = visit.page.locator("#source code").text_content()
    source = (folder / f"{name}").read_text(encoding="utf-8").rstrip()
    runs = any(url.endswith(f"/{folder.name}/{name}") for url in visit.requests)
    right = shown == source and runs and "pyruntime.js" in source
    checks.add("view source shows what runs", right, f"{name}, {len(source.splitlines())} lines")
    visit.page.locator("#source summary").press("Enter")


def check_profile(visit: Visit, pack: Path, kind: str, checks: Checks, within: str = "") -> None:
    """By keyboard alone "profile" opens, and tells what each step of the pack takes, the longest first."""
    panel = f"{within} .profile".strip()
    visit.page.locator(f"{panel} summary").press("Enter")
    visit.wait(f"{panel}[data-measured]", "nothing is measured")
    rows = visit.page.locator(f"{panel} tbody tr")
    found = rows.evaluate_all("(rows) => rows.map(({ cells }) => [...cells].map((cell) => cell.textContent))")
    shares = [float(share.removesuffix(" %")) for *_, share in found]
    right = (
        len(found) == len(_steps(pack, kind))
        and all(re.fullmatch(r"[\d.]+ (µs|ms|s)", time) for *_, time, _ in found)
        and shares == sorted(shares, reverse=True)
        and (abs(sum(shares) - 100) < len(shares) or not any(shares))
    )
    told = visit.page.locator(f"{panel} [role=status]").inner_text()
    checks.add(f"{DEVICES[kind]} tells what steps take", right, told)
    visit.page.locator(f"{panel} summary").press("Enter")


def _steps(pack: Path, kind: str) -> set[str]:
    """Names of the steps of a pack's program on a device."""
    targets = json.loads((pack / "pack.json").read_text(encoding="utf-8"))["targets"]
    if kind != "webgpu":
        return {*targets["wasm"]["entries"][0]["steps"]}
    commands = targets["webgpu"]["variants"][0]["entries"][0]["commands"]
    return {c["step"] for c in commands if c["op"] == "dispatch"}


def check_bytes(state: State, pack: Path, checks: Checks) -> None:
    """The table tells the sizes of the files that the page loaded, on Wasm."""
    told = {row["what"]: row["bytes"] for row in state["bytes"]}
    wanted = {
        "Model: Wasm": pack / "model.relaxed.wasm",
        "Model: pack.json": pack / "pack.json",
        "Model: weights": next(pack.glob("weights-*.safetensors")),
    }
    right = all(told.get(what) == file.stat().st_size for what, file in wanted.items())
    site, page = pack.parents[1], pack.parent
    scripts = sum(
        f.stat().st_size for place in (page, site / "shared", site / "js") for f in place.glob("*.js")
    )
    right = right and scripts / 2 < told.get("Page and runtime", 0) < 2 * scripts
    checks.add("bytes by kind are those of the files", right, json.dumps(told))


def check_policy(visit: Visit, checks: Checks) -> None:
    """The page came under the policy, and asked no other server for anything."""
    policy = "Content-Security-Policy"
    checks.add("strict policy", visit.headers.get(policy.lower()) == HEADERS[policy], HEADERS[policy][:64])
    origin = "/".join(visit.page.url.split("/")[:3])
    elsewhere = [
        url for url in visit.requests if not url.startswith((f"{origin}/", f"blob:{origin}/", "data:"))
    ]
    checks.add("nothing is asked of other servers", not elsewhere, f"{len(visit.requests)} requests")


def check_quiet(visit: Visit, where: str, checks: Checks) -> None:
    """Nothing went wrong while the page was used."""
    checks.add(f"no errors or warnings {where}".rstrip(), not visit.trouble, "; ".join(visit.trouble[:3]))


def each_device(
    visit: Page, columns: Sequence[str], checks: Checks, kinds: Iterable[str] = tuple(DEVICES)
) -> Iterator[tuple[str, str]]:
    """Switch to each device that is ready: its kind and its name. After its use it tells its times."""
    for kind in kinds:
        if visit.can_choose(kind, checks):
            yield kind, DEVICES[kind]
            check_times(visit, kind, columns, checks)


@contextmanager
def on_desktop(
    browser: Browser, address: str, folder: Path, checks: Checks, **context: Any
) -> Iterator[Page]:
    """The page in a window, under the policy; when it has been used, what is checked alike on all pages.

    Args:
        folder: its files, its pack among them.
        context: options of the browser's context.
    """
    visit = Page(browser, f"{address}?on=wasm", viewport=DESKTOP, color_scheme="light", **context)
    check_source(visit, folder, checks)
    yield visit
    (pack,) = folder.glob("*.pack")
    check_bytes(visit.choose("wasm"), pack, checks)
    check_profile(visit, pack, "wasm", checks)
    check_policy(visit, checks)
    check_quiet(visit, "", checks)
    visit.close()


@contextmanager
def on_phone(browser: Browser, address: str, folder: Path, checks: Checks) -> Iterator[Page]:
    """The page on a phone; then that nothing is cut off, and pictures, light and dark."""
    visit = Page(browser, f"{address}?on=wasm", **HANDHELD, color_scheme="light")
    yield visit
    width = visit.page.evaluate("document.documentElement.scrollWidth")
    checks.add("fits a phone", width <= PHONE["width"], f"{width} pixels wide")
    visit.page.screenshot(path=folder / "screenshot-phone.png", full_page=True)
    visit.page.emulate_media(color_scheme="dark")
    visit.page.screenshot(path=folder / "screenshot-phone-dark.png", full_page=True)
    check_quiet(visit, "on a phone", checks)
    visit.close()
