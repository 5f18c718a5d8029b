"""The server of a command's page: who may ask, and what becomes of what is posted."""

from __future__ import annotations

import http.client
import io
import queue
from collections.abc import Iterator

import pytest

from pyruntime.errors import DeviceError
from pyruntime.runtime.bench import browser
from pyruntime.runtime.serving import Content, Site, Stream, running


def broken(_: object) -> object:
    raise ValueError("no")


@pytest.fixture
def site() -> Iterator[Site]:
    content: dict[str, Content] = {"data": b"\x00\x01", "stream": Stream(3, lambda: io.BytesIO(b"abc"))}
    answers = {"double": lambda n: 2 * n, "bytes": bytes, "broken": broken}
    with running(Site(browser.PAGE, content, answers, {"X-Own": "yes"})) as served:
        yield served


def ask(
    site: Site, path: str, body: str | None = None, host: str = "", length: str = ""
) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", site.server_port, timeout=10)
    connection.putrequest("GET" if body is None else "POST", path, skip_host=True)
    connection.putheader("Host", host or site.host)
    if body is not None:
        connection.putheader("Content-Length", length or str(len(body)))
    connection.endheaders(None if body is None else body.encode())
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content, {k.lower(): v for k, v in response.getheaders()}


def test_files(site: Site) -> None:
    status, content, headers = ask(site, f"/{site.secret}/")
    assert status == 200
    assert b"main.js" in content
    assert headers["content-type"].startswith("text/html")
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert ask(site, f"/{site.secret}/?on=wasm")[1] == content
    assert ask(site, f"/{site.secret}/data")[1] == b"\x00\x01"
    assert headers["x-own"] == "yes"
    _, streamed, told = ask(site, f"/{site.secret}/stream")
    assert (streamed, told["content-length"], told["x-own"]) == (b"abc", "3", "yes")
    assert ask(site, f"/{site.secret}/wasm.js")[2]["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("path", ["/", "/data", "/wrong/data", "/{}/nothing", "/{}/../data", "/{}"])
def test_what_is_not_there(site: Site, path: str) -> None:
    assert ask(site, path.format(site.secret))[:2] == (404, b"")
    assert ask(site, "/wrong/result", "{}")[0] == 404
    with pytest.raises(queue.Empty):
        site.posted.get(timeout=0.01)


def test_other_names_of_the_server_are_refused(site: Site) -> None:
    for host in ("evil.example", f"localhost:{site.server_port}"):
        assert ask(site, f"/{site.secret}/data", host=host)[0] == 404
        assert ask(site, f"/{site.secret}/result", "{}", host=host)[0] == 404
    assert site.posted.empty()


def test_what_is_posted(site: Site) -> None:
    assert ask(site, f"/{site.secret}/result", '{"a": 1}')[0] == 204
    assert site.posted.get(timeout=1) == ("result", {"a": 1})
    assert ask(site, f"/{site.secret}/double", "21")[:2] == (200, b"42")
    assert ask(site, f"/{site.secret}/bytes", "[1, 2]")[1] == b"\x01\x02"
    assert ask(site, f"/{site.secret}/result", "no JSON")[0] == 400
    assert ask(site, f"/{site.secret}/result", "{}", length=str(1 << 40))[0] == 404
    assert ask(site, f"/{site.secret}/broken", "1")[0] == 500
    name, error = site.posted.get(timeout=1)
    assert (name, str(error)) == ("failed", "no")


def test_addresses_are_secret() -> None:
    with Site(browser.PAGE, {}, {}) as one, Site(browser.PAGE, {}, {}) as other:
        assert one.secret != other.secret
        assert len(one.secret) >= 32
        assert one.server_address[0] == "127.0.0.1"


def test_waiting_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "FIRST_LIMIT", 0.05)
    monkeypatch.setattr(browser, "LIMIT", 0.05)
    told: list[float] = []
    with pytest.raises(DeviceError, match="no browser has asked for the page"):
        browser._awaited(site, told.append)
    site.posted.put(("progress", {"done": 0.5}))
    with pytest.raises(DeviceError, match="the page has told nothing"):
        browser._awaited(site, told.append)
    site.posted.put(("result", {"samples": 1}))
    assert browser._awaited(site, told.append) == {"samples": 1}
    assert told == [0.5, 1.0]
    site.posted.put(("failed", ValueError("no")))
    with pytest.raises(ValueError, match="no"):
        browser._awaited(site, told.append)


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (
            "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML) HeadlessChrome/156.0.0.0 Safari/537.36",
            "Chromium 156",
        ),
        ("Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36 Edg/156.0.1", "Edge 156"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0", "Firefox 153"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML) Version/26.1 Safari/605.1.15", "Safari 26"),
        ("curl/8", "curl/8"),
        ("", "the browser"),
    ],
)
def test_names_of_browsers(agent: str, name: str) -> None:
    assert browser.name_of(agent) == name
