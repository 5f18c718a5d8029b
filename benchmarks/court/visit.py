"""Visits that nobody watches: pages with a fresh profile, each heard by no more than what it posts.

Playwright's own pages have DevTools' Network domain on, which keeps every body and, when it has ended,
decodes it as text on the page's thread: 40 ms for 14 MB of weights. No visitor's page spends that.
"""

from __future__ import annotations

import json
import queue
import time
from typing import TYPE_CHECKING, Any

from benchmarks.court.hosts import PATIENCE, ContestError, told

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.server import Server

POSTED = "/posted"  # where page.js posts its facts, if its job says so
SETTLED = 0.3  # seconds until a new window has nothing to do


class Visitor:
    """Opens pages of one browser, one after the other, with no session of DevTools but for their address."""

    def __init__(self, browser: Browser, server: Server) -> None:
        self._browser = browser.new_browser_cdp_session()
        self._posted: queue.Queue[dict[str, Any]] = queue.Queue()
        server.answers[POSTED] = self._hear

    def _hear(self, body: bytes) -> bytes:
        self._posted.put(json.loads(body))
        return b""

    def visit(self, url: str) -> dict[str, Any]:
        """What the page at this address posts. Raises ContestError for an error there, or no post."""
        try:
            return self._visit(url)
        except queue.Empty:
            raise ContestError("no answer") from None
        except Exception as error:
            raise told(error) from error

    def _visit(self, url: str) -> dict[str, Any]:
        send = self._browser.send
        context = send("Target.createBrowserContext")["browserContextId"]
        try:
            blank = {"url": "about:blank", "browserContextId": context}
            target = send("Target.createTarget", blank)["targetId"]
            session = send("Target.attachToTarget", {"targetId": target, "flatten": False})["sessionId"]
            time.sleep(SETTLED)
            navigate = {"id": 1, "method": "Page.navigate", "params": {"url": url}}
            send("Target.sendMessageToTarget", {"sessionId": session, "message": json.dumps(navigate)})
            facts = self._posted.get(timeout=PATIENCE)
        finally:
            send("Target.disposeBrowserContext", {"browserContextId": context})
        if "error" in facts:
            raise ContestError(facts["error"])
        return facts
