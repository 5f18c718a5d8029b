"""The arena: a server, one browser, and what opens contestants in pages, in Node and natively."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.court.benchmark import BUILD, Benchmark
from benchmarks.court.engines import ENGINES, HERE, Contestant
from benchmarks.court.hosts import ContestError, Entered, Job, Native, Node, Page, address
from benchmarks.court.limits import Native as NativeLimits
from benchmarks.court.limits import Rates
from benchmarks.court.prepare import BUNDLES, LIMITS, SCRIPT
from benchmarks.court.visit import POSTED, Visitor
from tests.browser.server import ISOLATED, Server, serving
from tests.chromium import FLAGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

PAGE = """<!doctype html><title>court</title><link rel="icon" href="data:,"><body></body>
<script type="module">{script}</script>"""
CODE = (".js", ".mjs", ".wasm", ".wgsl")
OVERHEAD = ("/page.html", "/court/", "/bench/feeds/")  # the court's own


@dataclass(frozen=True)
class Cold:
    """One visit with a fresh profile: ms from navigation to the first result, and what the server sent."""

    milliseconds: float
    bytes_loaded: int
    code_bytes: int
    code_gzip: int


class Arena:
    """Opens contestants."""

    def __init__(self, server: Server, playwright: Playwright) -> None:
        self.server = server
        self._playwright = playwright
        self._browser: Browser | None = None
        self._visitor: Visitor | None = None
        self._compressed: dict[Path, int] = {}
        server.common = ISOLATED
        # nothing of the court's own is left to fetch when the page is there
        server.pages = {"/page.html": PAGE.format(script=SCRIPT.read_text())}
        server.folders = {
            "/court/": HERE / "js",
            "/engines/": BUNDLES,
            "/limits.wasm": LIMITS,
            "/bench/": BUILD,
            **{f"/files/{e.name}/": e.files for e in ENGINES.values()},
        }

    @property
    def browser(self) -> Browser:
        """The browser; another one if it has died."""
        if self._browser is None or not self._browser.is_connected():
            chromium = shutil.which("chromium")
            self._browser = self._playwright.chromium.launch(executable_path=chromium, args=[*FLAGS])
            self._visitor = None
        return self._browser

    @property
    def visitor(self) -> Visitor:
        """What visits pages of the browser."""
        browser = self.browser
        if self._visitor is None:
            self._visitor = Visitor(browser, self.server)
        return self._visitor

    def close(self) -> None:
        """Stop the browser."""
        if self._browser is not None:
            self._browser.close()

    def job(self, benchmark: Benchmark, contestant: Contestant) -> Job:
        """What contest.js takes."""
        engine = ENGINES[contestant.engine]
        url, node = self.server.url, contestant.host == "node"
        model = benchmark.model(contestant)
        files = f"{url}/files/{engine.name}/"
        return {
            "module": (HERE / "js" / "engines" / contestant.opener).as_uri()
            if node
            else f"/engines/{contestant.opener}",
            "model": f"{url}/bench/{model.relative_to(BUILD)}{'/' if contestant.ours else ''}",
            "feeds": f"{url}/bench/feeds/{benchmark.name}/{engine.layout}.safetensors",
            "order": [p.name for p in benchmark.ports(engine.layout, "inputs")],
            "outputs": [p.name for p in benchmark.ports(engine.layout, "outputs")],
            "threads": contestant.threads,
            "device": contestant.device,
            "files": f"{engine.files}/" if node else files,  # Node's engines find their own by path
        }

    def open(self, benchmark: Benchmark, contestant: Contestant) -> Entered:
        """Open a contestant to stay. Raises ContestError."""
        engine = ENGINES[contestant.engine]
        reason = benchmark.missing(contestant)
        if reason:
            raise ContestError(reason)
        if contestant.host not in engine.hosts:
            raise ContestError(f"{engine.name} does not run in {contestant.host}")
        if contestant.host == "native":
            model = benchmark.model(contestant)
            return Native(model, contestant.device, contestant.threads, benchmark.feeds)
        job = self.job(benchmark, contestant)
        return Node(job) if contestant.host == "node" else Page(self.browser, self.server.url, job)

    def limits(self, host: str, threads: int) -> LimitsOf:
        """What measures a host's limits."""
        if host == "native":
            return LimitsOf(NativeLimits(LIMITS, threads))
        if host == "node":
            worker = (HERE / "js" / "limits-worker.js").as_uri()
            url = self.server.url
            return LimitsOf(
                Node({"limits": True, "module": f"{url}/limits.wasm", "worker": worker, "threads": threads})
            )
        job = {
            "limits": True,
            "module": "/limits.wasm",
            "worker": "/court/limits-worker.js",
            "threads": threads,
        }
        return LimitsOf(Page(self.browser, self.server.url, job, watched=False))

    def cold(self, benchmark: Benchmark, contestant: Contestant) -> Cold:
        """Visit once, with a fresh profile and so an empty cache. Raises ContestError."""
        before = len(self.server.sent)
        job = {**self.job(benchmark, contestant), "posts": POSTED}
        milliseconds = self.visitor.visit(address(self.server.url, job))["since_navigation_ms"]
        sent = [(p, n) for p, n in self.server.sent[before:] if not p.startswith(OVERHEAD)]
        code = [(p, n) for p, n in sent if p.endswith(CODE)]
        return Cold(
            milliseconds,
            sum(n for _, n in sent),
            sum(n for _, n in code),
            sum(self._gzip(p) for p, _ in code),
        )

    def _gzip(self, path: str) -> int:
        prefix, folder = next((p, f) for p, f in self.server.folders.items() if path.startswith(p))
        file = folder / path.removeprefix(prefix)
        if file not in self._compressed:
            self._compressed[file] = len(gzip.compress(file.read_bytes(), 9))
        return self._compressed[file]


@dataclass(frozen=True)
class LimitsOf:
    """Measures the limits of one host."""

    source: Page | Node | NativeLimits

    def __call__(self) -> Rates:
        """One round."""
        rates: Rates = self.source.round() if isinstance(self.source, NativeLimits) else self.source.round(1)
        return rates

    def close(self) -> None:
        """Free what it holds."""
        if not isinstance(self.source, NativeLimits):
            self.source.close()


@contextmanager
def arena() -> Iterator[Arena]:
    """An arena; all it started is stopped in the end."""
    from playwright.sync_api import sync_playwright

    with serving() as server, sync_playwright() as playwright:
        made = Arena(server, playwright)
        try:
            yield made
        finally:
            made.close()
