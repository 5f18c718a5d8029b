"""Serves the built site on 127.0.0.1, under the Content-Security-Policy that the README promises."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# isolated pages have shared memory, and with it threads; and a clock fine enough for runs of microseconds
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
        "style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    **ISOLATION,
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # a page built anew shows at once
}


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder; the base class keeps paths inside it."""

    headers_sent: Mapping[str, str] = HEADERS

    extensions_map = {  # noqa: RUF012 - as the base class has it
        "": "application/octet-stream",
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".mjs": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".map": "application/json",
        ".png": "image/png",
        ".py": "text/plain; charset=utf-8",
        ".wasm": "application/wasm",
        ".wgsl": "text/plain; charset=utf-8",
    }

    def end_headers(self) -> None:
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: object) -> None:
        """No listings: a folder without index.html is not a page."""
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Quiet: the terminal shows the address and nothing else."""


class _PlainHandler(_Handler):
    """As most static hosts answer: without the headers that isolate a page."""

    headers_sent = {name: text for name, text in HEADERS.items() if name not in ISOLATION}  # noqa: RUF012


class _Server(ThreadingHTTPServer):
    """Quiet too when a browser no longer wants what it asked for."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as it was called


def bind(folder: Path, port: int, isolated: bool = True) -> ThreadingHTTPServer:
    """A server of `folder` at this port of 127.0.0.1, or at any free one where it is taken."""
    handler = partial(_Handler if isolated else _PlainHandler, directory=str(folder))
    try:
        return _Server(("127.0.0.1", port), handler)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return _Server(("127.0.0.1", 0), handler)


@contextmanager
def serving(folder: Path, port: int = 0, isolated: bool = True) -> Iterator[str]:
    """The address of a server that runs in a thread of its own until the block ends."""
    with bind(folder, port, isolated) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
