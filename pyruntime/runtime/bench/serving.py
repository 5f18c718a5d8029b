"""Serves a page of `pyruntime bench` on this machine alone, and takes what it posts.

Every address begins with a secret, and other names of the server than its own are refused, so that no other
page can reach it.
"""

from __future__ import annotations

import json
import queue
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
# threads need a page that is cross-origin isolated, and it has a finer clock
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LARGEST = 256 << 20  # bytes that a page may post

Content = bytes | bytearray | memoryview
Answer = Callable[[Any], Any]


class Site(ThreadingHTTPServer):
    """The page's files, what it needs beside them, and what it may ask.

    Attributes:
        content: name -> bytes.
        answers: name -> function from what was posted to what is sent back.
        posted: (name, content) of what was posted else.
    """

    daemon_threads = True

    def __init__(self, content: Mapping[str, Content], answers: Mapping[str, Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        pages = {p.name: p.read_bytes() for p in PAGE.iterdir() if p.suffix in TYPES}
        self.content: dict[str, Content] = {"": pages.pop("index.html"), **pages, **content}
        self.answers = answers
        self.posted: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.secret = secrets.token_urlsafe(24)
        self.host = f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{self.host}/{self.secret}/"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def _name(self) -> str | None:
        """What is asked for; None where it is not for us to answer."""
        prefix = f"/{self.server.secret}/"
        ours = self.path.startswith(prefix) and self.headers.get("Host") == self.server.host
        return self.path.removeprefix(prefix) if ours else None

    def do_GET(self) -> None:
        name = self._name()
        found = None if name is None else self.server.content.get(name)
        if name is None or found is None:
            self._send(HTTPStatus.NOT_FOUND)
            return
        self.server.posted.put(("get", name))
        self._send(
            HTTPStatus.OK, found, TYPES.get(Path(name or "index.html").suffix, "application/octet-stream")
        )

    def do_POST(self) -> None:
        name, size = self._name(), self.headers.get("Content-Length", "")
        if name is None or not size.isdecimal() or int(size) > LARGEST:
            self._send(HTTPStatus.NOT_FOUND)
            return
        try:
            content = json.loads(self.rfile.read(int(size)))
        except ValueError:
            self._send(HTTPStatus.BAD_REQUEST)
            return
        if name not in self.server.answers:
            self.server.posted.put((name, content))
            self._send(HTTPStatus.NO_CONTENT)
            return
        try:
            answer = json.dumps(self.server.answers[name](content)).encode()
        except Exception as error:  # noqa: BLE001 - raised where the page's end is awaited
            self.server.posted.put(("failed", error))
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        self._send(HTTPStatus.OK, answer, "application/json")

    def _send(self, status: HTTPStatus, body: Content = b"", kind: str = "text/plain") -> None:
        self.send_response(status)
        for key, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Quiet."""


@contextmanager
def serving(content: Mapping[str, Content], answers: Mapping[str, Answer]) -> Iterator[Site]:
    """A site that is served while the context lasts."""
    with Site(content, answers) as site:
        thread = threading.Thread(target=site.serve_forever, name="pyruntime-bench", daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()
