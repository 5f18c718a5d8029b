"""Serves a page of a command on this machine alone, and takes what it posts; what served pages are told.

Every address begins with a secret, and other names of the server than its own are refused, so that no other
page can reach it.
"""

from __future__ import annotations

import json
import queue
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

BINARY = "application/octet-stream"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".wgsl": "text/plain; charset=utf-8",
}
# isolated pages have shared memory, and with it threads; and a clock fine enough for runs of microseconds
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
# what a page needs that loads packs and all else from its own server
POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
        "style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}
_ALWAYS = {**ISOLATION, "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store"}
LARGEST = 256 << 20  # bytes that a page may post
_PIECE = 1 << 20  # bytes of a stream that are in memory at a time


@dataclass(frozen=True)
class Stream:
    """Content that is read when it is asked for: how many bytes it has, and what opens it."""

    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]


Content = bytes | bytearray | memoryview | Stream
Answer = Callable[[Any], Any]


class Server(ThreadingHTTPServer):
    """Quiet when a browser no longer wants what it asked for."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What a request failed with goes to stderr, unless the browser has gone away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Site(Server):
    """A page's files, what it needs beside them, and what it may ask.

    Args:
        page: the folder of its files; index.html is what its address gives.
        headers: of every answer, beside those that isolate the page.
        port: 0 for any free one.

    Attributes:
        content: name -> bytes, further ones than the page's files.
        answers: name -> function from what was posted to what is sent back: bytes, or what JSON can tell.
        posted: (name, content) of what was posted else; ("get", name) of what was asked for;
            ("failed", error) of answers that raised.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(
        self,
        page: Path,
        content: Mapping[str, Content],
        answers: Mapping[str, Answer],
        headers: Mapping[str, str] = MappingProxyType({}),
        port: int = 0,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        files = (p for p in page.rglob("*") if p.suffix in TYPES)
        pages = {p.relative_to(page).as_posix(): p.read_bytes() for p in files}
        self.content: dict[str, Content] = {"": pages.pop("index.html"), **pages, **content}
        self.answers = answers
        self.headers = {**_ALWAYS, **headers}
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
        path = self.path.partition("?")[0]  # what follows is for the page's own script
        ours = path.startswith(prefix) and self.headers.get("Host") == self.server.host
        return path.removeprefix(prefix) if ours else None

    def do_GET(self) -> None:
        name = self._name()
        found = None if name is None else self.server.content.get(name)
        if name is None or found is None:
            self._send(HTTPStatus.NOT_FOUND)
            return
        self.server.posted.put(("get", name))
        self._send(HTTPStatus.OK, found, TYPES.get(Path(name or "index.html").suffix, BINARY))

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
            answer = self.server.answers[name](content)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        except Exception as error:  # noqa: BLE001 - raised where the page's end is awaited
            self.server.posted.put(("failed", error))
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        self._send(HTTPStatus.OK, body, BINARY if body is answer else TYPES[".json"])

    def _send(self, status: HTTPStatus, body: Content = b"", kind: str = "text/plain") -> None:
        size = body.size if isinstance(body, Stream) else len(body)
        self.send_response(status)
        for key, value in {**self.server.headers, "Content-Type": kind, "Content-Length": str(size)}.items():
            self.send_header(key, value)
        self.end_headers()
        if isinstance(body, Stream):
            with body.open() as source:
                shutil.copyfileobj(source, self.wfile, _PIECE)
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Quiet."""


@contextmanager
def running(site: Site) -> Iterator[Site]:
    """Serves a site in a thread of its own while the context lasts."""
    with site:
        thread = threading.Thread(target=site.serve_forever, name="pyruntime-site", daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()
