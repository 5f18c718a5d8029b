"""The picture of `pyruntime bench`: complete, by itself, and as wide as its window."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pyruntime.cli import picture
from pyruntime.runtime.bench.profile import Limits, Profile, StepTime

LIMITS = Limits(5e10, 1e11, ((1 << 14, 4e10), (1 << 26, 1e10)), "fused multiply-adds")
STEPS = (
    StepTime("map <i>embedding</i>", "map", 1, 2e-5, 2e-5, 0, 4096, 1e-6),
    StepTime(f"matmul {'a-long-name/' * 4}q_proj", "matmul", 1, 4e-3, 4e-3, 10**8, 10**6, 2e-3),
    StepTime("matmul b", "matmul", 12, 1e-3, 1e-3, 10**7, 10**5, 9.7e-4),
    StepTime("jump 3", "control", 12, 0.0, 0.0),
)  # fmt: skip


def profile(steps: tuple[StepTime, ...] = STEPS, notes: tuple[str, ...] = ()) -> Profile:
    limits = LIMITS if steps else None
    facts = ("wasm", "Chromium", "V8", 2, ("relaxed-simd",), {"batch": 3}, 40, 5.1e-3, 5e-3)
    return Profile(*facts, steps, limits, notes)


class Elements(HTMLParser):
    """Counts elements by tag and class, and sees to it that those of SVG are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag in ("svg", "g", "text", "title", "ul", "li", "div"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("svg", "g", "text", "title", "ul", "li", "div"):
            assert self.open.pop() == tag


def test_every_step_and_every_kind_has_a_row() -> None:
    text = picture.page("model.pack", profile())
    elements = Elements(text)
    assert not elements.open
    rows = [a for tag, a in elements.seen if tag == "g"]
    assert len(rows) == 2 * len(STEPS) + 3
    assert text.count("×24") == 0
    assert text.count("×13") == 1, "calls of matmul in the sum of its kind"
    assert "<i>" not in text
    assert "50 % of it reached" in text
    levels = re.findall(r'class="(l\d|unknown) whole"', text)
    assert sorted(set(levels)) == ["l0", "l2", "l4", "unknown"]


def test_bars_are_as_long_as_times() -> None:
    first = picture.page("m", profile()).partition('id="in-order"')[2].partition("</svg>")[0]
    widths = [float(w) for w in re.findall(r'whole" y="\d+" width="([\d.]+)%"', first)]
    assert widths == pytest.approx([0.5, 100, 25, 0])
    floors = [float(w) for w in re.findall(r'class="(?:l\d|unknown)" y="\d+" width="([\d.]+)%"', first)]
    assert floors == pytest.approx([0.025, 50, 24.25, 0])


def test_nothing_comes_from_elsewhere() -> None:
    for _, attributes in Elements(picture.page("m", profile())).seen:
        assert not {"src", "href"} & attributes.keys()
    assert "url(" not in picture.page("m", profile())
    assert "http" not in picture.page("m", profile())


def test_without_steps_it_says_why() -> None:
    text = picture.page("m", profile((), ("no timestamps",)))
    assert "no timestamps" in text
    assert "<svg" not in text


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1100])
def test_in_a_browser(tmp_path: Path, chromium: str, scheme: str, width: int) -> None:
    from playwright.sync_api import sync_playwright

    from tests.chromium import FLAGS

    picture.write(tmp_path / "p.html", "model.pack", profile())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS])
        page = browser.new_page(
            color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 800}
        )
        told: list[str] = []
        page.on("request", lambda request: told.append(request.url))
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.goto((tmp_path / "p.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        row = page.locator("#longest-first .row").first
        row.hover()
        assert page.locator("#details").inner_text().startswith("matmul a-long-name")
        assert not page.locator("#in-order").is_visible()
        page.locator("#as-run").check()
        assert page.locator("#in-order").is_visible()
        assert not page.locator("#longest-first").is_visible()
        clear = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(clear) == ("rgb(20, 25, 31)" if scheme == "dark" else "rgb(255, 255, 255)")
        texts = page.evaluate(
            "[...document.querySelectorAll('#in-order .row')].map((row) => [...row.querySelectorAll('text')]"
            ".filter((t) => t.checkVisibility() && t.textContent).map((t) => t.getBoundingClientRect())"
            ".map(({left, right}) => [left, right]))"
        )
        for row_texts in texts:  # names and numbers do not run into each other
            for (_, right), (left, _) in itertools.pairwise(row_texts):
                assert right <= left
        browser.close()
    assert told == [(tmp_path / "p.html").as_uri()]
