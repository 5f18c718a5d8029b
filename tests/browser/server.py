"""A static HTTP server on 127.0.0.1 for tests in a browser: folders under prefixes, headers by path."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, AnyStr
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed import SupportsRead, SupportsWrite

TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".ts": "text/plain",
    ".wasm": "application/wasm",
    ".json": "application/json",
}
# headers of pages that may share memory, and of pages that allow nothing they need not
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
STRICT = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; worker-src 'self';"
    " script-src 'self' 'wasm-unsafe-eval'"
}

BREAK = "/break"
WAIT = 30.0  # seconds


class Server(ThreadingHTTPServer):
    """Serves `folders` (prefix -> folder) and `pages` (path -> HTML), each with the `headers` of its path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folders: dict[str, Path] = {}
        self.pages: dict[str, str] = {}
        self.headers: dict[str, Mapping[str, str]] = {}
        self.common: Mapping[str, str] = {}  # headers of every answer
        self.requests: list[str] = []
        self.sent: list[tuple[str, int]] = []  # paths, and the bytes of what was answered, without headers
        self.begins: list[tuple[str, int]] = []  # paths of files that were asked for from some byte on
        # bytes of a path's next answers after which the connection ends, when the page has read them and asks
        # for /break: what a broken connection has brought and nobody read is lost
        self.breaks: dict[str, list[int]] = {}
        self.read = threading.Event()
        self.answers: dict[str, Callable[[bytes], bytes]] = {}  # what is made of what is posted to a path

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    server: Server
    extensions_map = TYPES

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == BREAK:
            self.server.read.set()
        self.server.requests.append(path)
        page = self.server.pages.get(path)
        if page is None:
            self._file(path)
            return
        body = page.encode()
        self.server.sent.append((path, len(body)))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        answer = self.server.answers.get(urlsplit(self.path).path)
        if answer is None:
            self.send_error(404)
            return
        body = answer(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, path: str) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        file = Path(self.translate_path(self.path))
        if asked is None or not file.is_file():
            super().do_GET()
            return
        begin, size = int(asked[1]), file.stat().st_size
        self.server.begins.append((path, begin))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - begin))
        self.end_headers()
        with file.open("rb") as source:
            source.seek(begin)
            self.copyfile(source, self.wfile)

    def copyfile(self, source: SupportsRead[AnyStr], outputfile: SupportsWrite[AnyStr]) -> None:
        """Files come through here."""
        body = source.read()
        path = urlsplit(self.path).path
        if breaks := self.server.breaks.get(path):
            body = body[: breaks.pop(0)]
            outputfile.write(body)
            if body:
                self.server.read.wait(WAIT)
                self.server.read.clear()
            return
        self.server.sent.append((path, len(body)))
        outputfile.write(body)

    def translate_path(self, path: str) -> str:
        """The file that a path names; one that does not exist for what no prefix covers."""
        wanted = urlsplit(path).path
        for prefix, folder in self.server.folders.items():
            if wanted.startswith(prefix) and ".." not in wanted:
                return str(folder / wanted.removeprefix(prefix))
        return "/nonexistent"

    def send_header(self, keyword: str, value: str) -> None:
        """Without the time of a file that may still change within the second that this would tell.

        HTTP has whole seconds: a page would be told later that it has the file as it is.
        """
        if (
            keyword == "Last-Modified"
            and time.time() - Path(self.translate_path(self.path)).stat().st_mtime < 2
        ):
            return
        super().send_header(keyword, value)

    def end_headers(self) -> None:
        own = self.server.headers.get(urlsplit(self.path).path, {})
        for name, value in {**self.server.common, **own}.items():
            self.send_header(name, value)
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Quiet: failures show in the tests."""


@contextmanager
def serving() -> Iterator[Server]:
    """A running server, stopped in the end."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
