"""A page in Firefox that evaluates JavaScript, with no driver: it asks the server for work, and answers."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyruntime.cli.browsers import opened
from tests.browser.server import Server

PATH = "/firefox.html"
TURN = "/turn"
FIRST_LIMIT = 90.0  # seconds for the browser to start
LIMIT = 120.0  # seconds for one evaluation
MICROPHONE = {  # one that hums, and that pages may hear without being asked for
    "media.navigator.streams.fake": "true",
    "media.navigator.permission.disabled": "true",
    "media.autoplay.default": "0",
}
POLL = 10.0  # seconds after which a request that waits for work is answered anyway

PAGE = """<!doctype html><title>test</title><script type="module">
import * as harness from "/harness.js";
globalThis.harness = harness;
for (let done = null; ; ) {
  const response = await fetch("/turn", { method: "POST", body: JSON.stringify(done) });
  const { code, argument } = await response.json();
  done = null;
  if (!code) continue;
  try {
    const made = (0, eval)(code);
    done = { value: (await (typeof made === "function" ? made(argument) : made)) ?? null };
  } catch (error) {
    done = { error: `${error}\\n${error.stack}` };
  }
}
</script>"""


class PageError(AssertionError):
    """What was thrown in the page, or that nothing came."""


class Tab:
    """The page; `evaluate` is that of Playwright's pages."""

    def __init__(self, server: Server) -> None:
        self._work: queue.Queue[dict[str, Any]] = queue.Queue()
        self._done: queue.Queue[dict[str, Any]] = queue.Queue()
        self._limit = FIRST_LIMIT
        server.pages = {**server.pages, PATH: PAGE}
        server.answers[TURN] = self._turn

    def _turn(self, posted: bytes) -> bytes:
        """Takes a result, and gives the next work, or none for now."""
        done = json.loads(posted)
        if done is not None:
            self._done.put(done)
        try:
            return json.dumps(self._work.get(timeout=POLL)).encode()
        except queue.Empty:
            return b"{}"

    def evaluate(self, code: str, argument: Any = None) -> Any:
        """What an expression gives, called with the argument if it is a function, and awaited."""
        self._work.put({"code": code, "argument": argument})
        try:
            done = self._done.get(timeout=self._limit)
        except queue.Empty:
            raise PageError(f"Firefox did not answer for {self._limit:.0f} seconds") from None
        self._limit = LIMIT
        if "error" in done:
            raise PageError(done["error"])
        return done["value"]


@contextmanager
def firefox(server: Server) -> Iterator[Tab]:
    """A page in the Firefox of this machine, with the harness. Raises DeviceError where there is none."""
    tab = Tab(server)
    with opened("firefox", server.url + PATH, MICROPHONE):
        yield tab
