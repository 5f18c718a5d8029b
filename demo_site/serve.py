"""Serves the built site on 127.0.0.1, under the Content-Security-Policy that the README promises."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pyruntime.runtime.serving import BINARY, ISOLATION, POLICY, TYPES, Server

HEADERS = {
    **POLICY,
    **ISOLATION,
    "Cache-Control": "no-cache",  # a page built anew shows at once
}


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder; the base class keeps paths inside it."""

    headers_sent: Mapping[str, str] = HEADERS

    extensions_map = {  # noqa: RUF012 - as the base class has it
        "": BINARY,
        **TYPES,
        ".map": "application/json",
        ".mjs": TYPES[".js"],
        ".png": "image/png",
        ".py": "text/plain; charset=utf-8",
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


def bind(folder: Path, port: int, isolated: bool = True) -> ThreadingHTTPServer:
    """A server of `folder` at this port of 127.0.0.1, or at any free one where it is taken."""
    handler = partial(_Handler if isolated else _PlainHandler, directory=str(folder))
    try:
        return Server(("127.0.0.1", port), handler)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return Server(("127.0.0.1", 0), handler)


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
