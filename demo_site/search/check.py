"""Uses the search page in a browser as visitors do, and compares what it ranks with the pack run natively."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from demo_site.checks import Checks
from demo_site.page import DEVICES, Page, State, check_policy, check_profile, check_quiet, check_source
from demo_site.page import check_bytes as check_model_bytes
from demo_site.search.corpus import Corpus
from demo_site.search.embed import Vectors
from demo_site.search.queries import EXAMPLES, MORE
from demo_site.serve import serving
from demo_site.visit import DESKTOP, HANDHELD, PHONE, READY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

KINDS = {**DEVICES, "python": "Python in Pyodide"}
TOLERANCE = 1e-4  # of cosines, and of the vectors' numbers
SHOWN = 8
ASKED_IN_SOFTWARE = 3  # searches on WebGPU, each of which takes a second where it is software
THREADS: Mapping[str, Callable[[int], bool]] = {"wasm": lambda n: n == 1, "threads": lambda n: n > 1}
MOST_CODE = {"webgpu": 90_000, "wasm": 150_000}  # bytes, as a server compresses them
DATA, VOCABULARY = (".safetensors", ".f32"), ("tokenizer-", "sentences.json")
PACK_FILE = re.compile(r"\.pack/(?!pack\.json)")


class Expected(NamedTuple):
    """What the page should find: the corpus, its vectors [n, d], and those of the searches by text."""

    corpus: Corpus
    vectors: Vectors
    searches: Mapping[str, Vectors]

    def ranked(self, query: str) -> Vectors:
        """Cosines of all sentences with a search."""
        cosines: Vectors = self.vectors @ self.searches[query]
        return cosines


class SearchVisit(Page):
    """The opened search page."""

    def search(self, text: str) -> State:
        """Put a text into the box, as pasting does, and wait for what is found."""
        self.page.locator("#query").fill(text)
        return self.state()


def check_page(browser: Browser, address: str, folder: Path, expected: Expected, checks: Checks) -> None:
    """All checks of the page at `address`, whose files are in `folder`; pictures of it are left there."""
    visit = SearchVisit(browser, f"{address}?on=wasm", viewport=DESKTOP, color_scheme="light")
    check_first(visit, expected, checks)
    check_code(visit, folder.parent, "wasm", checks)
    check_source(visit, folder, checks)
    for kind, name in KINDS.items():
        check_device(visit, kind, name, expected, checks)
    visit.choose("wasm")
    check_profile(visit, folder / "minilm.pack", "wasm", checks)
    check_typing(visit, expected, checks)
    check_bytes(visit, folder, checks)
    visit.search(next(iter(EXAMPLES)))
    visit.page.wait_for_timeout(400)  # rows that move
    visit.page.screenshot(path=folder / "screenshot.png", full_page=True)
    check_policy(visit, checks)
    check_quiet(visit, "", checks)
    check_second_visit(visit.page.context, address, checks)
    visit.close()
    check_phone(browser, address, folder, expected, checks)
    check_dark(browser, address, folder, checks)
    check_plain(browser, folder, expected, checks)


def check_first(visit: SearchVisit, expected: Expected, checks: Checks) -> None:
    """The page opens with the first example asked and answered."""
    state = visit.state()
    query = next(iter(EXAMPLES))
    right = state["query"] == query and _apart(state, expected) <= TOLERANCE
    checks.add("opens with an example answered", right, f"{query}: {_sentence(state, expected)}")


def check_code(visit: SearchVisit, site: Path, kind: str, checks: Checks) -> None:
    """What this visit fetched besides data and weights, compressed as a server does, is little."""
    paths = {urlsplit(url).path.removeprefix("/") for url in visit.requests if url.startswith("http")}
    files = [site / path / "index.html" if path.endswith("/") else site / path for path in sorted(paths)]
    code = [file for file in files if file.suffix not in DATA and not file.name.startswith(VOCABULARY)]
    size = sum(len(gzip.compress(file.read_bytes(), 9)) for file in code)
    whole = any(file.suffix in (".wasm", ".wgsl") for file in code) and any(
        f.name == "pack.json" for f in code
    )
    checks.add(
        f"code of the page on {DEVICES[kind]}",
        whole and size <= MOST_CODE[kind],
        f"{size:,} bytes compressed",
    )


def check_device(visit: SearchVisit, kind: str, name: str, expected: Expected, checks: Checks) -> None:
    """A device ranks as the pack does natively, and finds sentences of the theme that is meant."""
    row = visit.page.locator(f"tr.{kind}")
    if row.locator("input").is_disabled():
        reason = row.locator("small").inner_text()
        checks.add(f"{name} is off", kind == "threads" and "one core" in reason, reason)
        return
    state = visit.choose(kind)
    if state["error"]:
        checks.add(f"{name} is ready", False, state["error"])
        return
    queries = {**EXAMPLES, **MORE}
    if kind == "webgpu":
        queries = dict(list(queries.items())[:ASKED_IN_SOFTWARE])
    threads = state["report"]["threads"]
    if kind in THREADS:
        checks.add(f"{name}: how many threads", THREADS[kind](threads), f"{threads}")
    apart, misses = 0.0, []
    for query, theme in queries.items():
        state = visit.search(query)
        apart = max(apart, _apart(state, expected))
        found = expected.corpus.theme_of[state["results"][0]["index"]] if state["results"] else -1
        if found < 0 or expected.corpus.themes[found] != theme:
            misses.append(query)
    times = visit.page.locator(f"tr.{kind} td").all_inner_texts()[:2]
    told = all(re.fullmatch(r"[\d.]+ m?s", text) for text in times)
    checks.add(
        f"{name} ranks as the native run",
        apart <= TOLERANCE,
        f"{len(queries)} searches, cosines within {apart:.0e}",
    )
    checks.add(
        f"{name} finds what is meant", not misses, f"missed: {misses}" if misses else f"{len(queries)} themes"
    )
    checks.add(f"{name} tells its times", told, "ready in {}, a search in {}".format(*times))
    check_again(visit, kind, name, checks)


def check_typing(visit: SearchVisit, expected: Expected, checks: Checks) -> None:
    """By keyboard alone: a slash goes to the box, letters rank, arrows walk the list, Enter searches on."""
    page = visit.page
    query = next(iter(MORE))
    visit.search("")
    empty = visit.state()
    blank = not empty["results"] and page.locator("#hint").is_visible()
    checks.add("an empty box finds nothing", blank, page.locator("#hint").inner_text())
    page.locator("input[value=wasm]").focus()
    page.keyboard.press("/")
    seen = set()
    for letter in query:
        page.keyboard.type(letter)
        seen.add(json.dumps(visit.state()["results"]))
    state = visit.state()
    right = state["query"] == query and _apart(state, expected) <= TOLERANCE
    checks.add("ranks while one types", right and len(seen) > len(query) // 2, f"{len(seen)} rankings")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    second = expected.corpus.sentences[state["results"][1]["index"]]
    page.keyboard.press("Enter")
    on = visit.state()
    itself = on["query"] == second and on["results"][0]["similarity"] > 1 - 1e-2
    checks.add("Enter on a sentence searches for its like", itself, f"{on['query']}")
    shared = page.locator("#words").inner_text()
    checks.add("words in common are told", "share" in shared and page.locator("mark").count() > 0, shared)


def check_bytes(visit: SearchVisit, folder: Path, checks: Checks) -> None:
    """The table tells the sizes of the files that the page loaded."""
    state = visit.state()
    pack = folder / "minilm.pack"
    check_model_bytes(state, pack, checks)
    told = {row["what"]: row["bytes"] for row in state["bytes"]}
    vocabulary = next(pack.glob("tokenizer-*.json")).stat().st_size
    corpus = sum((folder / name).stat().st_size for name in ("sentences.json", "vectors.f32"))
    found = told.get("Tokenizer's vocabulary"), told.get("Sentences and their vectors")
    checks.add("bytes of vocabulary and sentences", found == (vocabulary, corpus), f"{found}")


def check_again(visit: SearchVisit, kind: str, name: str, checks: Checks) -> None:
    """All sentences again on this device, in software a batch of them: a time, and the same vectors."""
    page = visit.page
    total = len(visit.page.locator("#map circle").all())
    page.locator("#again").click()
    if kind == "webgpu":
        page.locator("#again", has_text="Stop").click()
    outcome = page.locator("#outcome", has_text="sentences in")
    outcome.wait_for(timeout=READY)
    told = re.fullmatch(r"(\d+) sentences in .*; at most (\S+) from .*", outcome.inner_text())
    done, apart = (int(told[1]), float(told[2])) if told else (0, np.inf)
    whole = 0 < done < total if kind == "webgpu" else done == total
    each = page.locator(f"tr.{kind} td.sentence").inner_text()
    found = f"{done} of {total}, {each} each, within {apart:.0e}"
    checks.add(f"{name}: sentences again", whole and apart <= TOLERANCE, found)


def check_second_visit(context: BrowserContext, address: str, checks: Checks) -> None:
    """The next visit takes the pack from the cache."""
    visit = SearchVisit(context, f"{address}?on=wasm")
    report = visit.state()["report"] or {"bytesLoaded": 0, "bytesCached": 0}
    asked = [url for url in visit.requests if PACK_FILE.search(url)]
    right = 0 < report["bytesLoaded"] == report["bytesCached"] and not asked
    ready = visit.page.locator("tr.wasm td.ready").inner_text()
    found = f"{report['bytesCached']:,} of {report['bytesLoaded']:,} bytes, ready in {ready}"
    checks.add("second visit from the cache", right, found)
    visit.page.close()


def check_phone(browser: Browser, address: str, folder: Path, expected: Expected, checks: Checks) -> None:
    """On a phone: nothing is cut off, and a tap on an example searches for it."""
    visit = SearchVisit(browser, f"{address}?on=wasm", **HANDHELD, color_scheme="light")
    query = list(EXAMPLES)[1]
    visit.page.get_by_role("button", name=query).tap()
    state = visit.state()
    right = state["query"] == query and _apart(state, expected) <= TOLERANCE
    checks.add("a tap searches on a phone", right, f"{query}: {_sentence(state, expected)}")
    width = visit.page.evaluate("document.documentElement.scrollWidth")
    checks.add("fits a phone", width <= PHONE["width"], f"{width} pixels wide")
    visit.page.screenshot(path=folder / "screenshot-phone.png", full_page=True)
    visit.page.emulate_media(color_scheme="dark")
    visit.page.screenshot(path=folder / "screenshot-phone-dark.png", full_page=True)
    checks.add("no errors or warnings on a phone", not visit.trouble, "; ".join(visit.trouble[:3]))
    visit.close()


def check_dark(browser: Browser, address: str, folder: Path, checks: Checks) -> None:
    """Dark, on WebGPU from the start, with the search in the address."""
    query = list(EXAMPLES)[2]
    scheme = {"color_scheme": "dark", "reduced_motion": "reduce"}
    visit = SearchVisit(browser, f"{address}?on=webgpu&q={query}", viewport=DESKTOP, **scheme)
    checks.add("the address keeps a search", visit.state()["query"] == query, visit.page.url)
    check_code(visit, folder.parent, "webgpu", checks)
    visit.page.screenshot(path=folder / "screenshot-dark.png", full_page=True)
    visit.close()


def check_plain(browser: Browser, folder: Path, expected: Expected, checks: Checks) -> None:
    """From a server that does not isolate pages threads say why they are off, and the rest works."""
    with serving(folder.parent, isolated=False) as address:
        visit = SearchVisit(browser, f"{address}{folder.name}/?on=wasm")
        row = visit.page.locator("tr.threads")
        told = row.locator("small").inner_text()
        off = row.locator("input").is_disabled()
        checks.add("without isolation threads say why", off and "isolate" in told, told)
        right = _apart(visit.search(next(iter(MORE))), expected) <= TOLERANCE
        checks.add(
            "without isolation Wasm searches", right and not visit.trouble, "; ".join(visit.trouble[:3])
        )
        visit.close()


def _apart(state: State, expected: Expected) -> float:
    """The largest difference of the shown cosines from the native ones; infinite for unknown searches."""
    if state["query"] not in expected.searches or len(state["results"]) != SHOWN:
        return float(np.inf)
    cosines = expected.ranked(state["query"])
    found = [each["index"] for each in state["results"]]
    shown = np.array([each["similarity"] for each in state["results"]])
    nearest = np.sort(cosines)[::-1][:SHOWN]
    return float(max(np.abs(shown - cosines[found]).max(), np.abs(shown - nearest).max()))


def _sentence(state: State, expected: Expected) -> str:
    found: Sequence[Mapping[str, Any]] = state["results"]
    return expected.corpus.sentences[found[0]["index"]] if found else "nothing"
