"""The demo's server: its policy on every answer, and nothing from outside its folder."""

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo_site.serve import bind, serving

SECRET = "not for visitors"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    site = folder / "site"
    (site / "page").mkdir(parents=True)
    (site / "page" / "index.html").write_text("<p>hello</p>")
    (site / "empty").mkdir()
    (site / "model.wasm").write_bytes(b"\0asm")
    (site / "main.js").write_text("export {}")
    (folder / "secret.txt").write_text(SECRET)
    (folder / "site.old").mkdir()
    (folder / "site.old" / "secret.txt").write_text(SECRET)
    with serving(site) as url:
        yield url


def get(address: str, path: str) -> tuple[int, dict[str, str], bytes]:
    """An answer to a path that is sent as it stands, without a client's tidying."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/page/", "text/html"), ("/main.js", "text/javascript"), ("/model.wasm", "application/wasm")],
)
def test_files(address: str, path: str, kind: str) -> None:
    status, headers, body = get(address, path)
    assert status == 200
    assert headers["content-type"].split(";")[0] == kind
    assert body


@pytest.mark.parametrize("path", ["/page/", "/main.js", "/missing"])
def test_policy(address: str, path: str) -> None:
    status, headers, _ = get(address, path)
    assert status == (404 if path == "/missing" else 200)
    rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert rules["worker-src"] == "'self'"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-embedder-policy"] == "require-corp"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/page/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "//../secret.txt",
        "/../site.old/secret.txt",
        "/page/%2e%2e/%2e%2e/secret.txt",
    ],
)
def test_nothing_from_outside(address: str, path: str) -> None:
    status, _, body = get(address, path)
    assert status in (400, 403, 404)
    assert SECRET.encode() not in body


def test_no_listings(address: str) -> None:
    status, _, body = get(address, "/empty/")
    assert status == 404
    assert b"Directory listing" not in body


def test_loopback_only(tmp_path: Path) -> None:
    with bind(tmp_path, 0) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_a_taken_port_gives_another(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with bind(tmp_path, port) as server:
            assert server.server_port not in (0, port)


def test_a_port_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    with pytest.raises(OverflowError):
        bind(tmp_path, 70000)
