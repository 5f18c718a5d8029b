"""The demo's server: pages with their policy, nothing outside its folder."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo_site.serve import serving


def _get(address: str, path: str) -> tuple[int, dict[str, str], bytes]:
    """As a client that does not tidy its paths."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("no")
    folder = tmp_path / "site"
    (folder / "empty").mkdir(parents=True)
    (folder / "index.html").write_text("<p>yes")
    (folder / "model.wasm").write_bytes(b"\0asm")
    return folder


def test_pages_have_a_policy(site: Path) -> None:
    with serving(site) as address:
        status, headers, body = _get(address, "/index.html")
        assert (status, body) == (200, b"<p>yes")
        assert "script-src 'self' 'wasm-unsafe-eval'" in headers["content-security-policy"]
        assert _get(address, "/model.wasm")[1]["content-type"] == "application/wasm"


@pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/empty/", "/missing"])
def test_nothing_else_is_served(site: Path, path: str) -> None:
    with serving(site) as address:
        status, _, body = _get(address, path)
        assert status == 404
        assert body != b"no"
