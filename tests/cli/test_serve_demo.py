"""`pyruntime serve-demo`: what is served, to whom, how it ends; and the page in Chromium."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pyruntime
from demo_site.visit import PHONE, Visit
from pyruntime.cli import demo
from pyruntime.pack.reader import Pack
from pyruntime.runtime.web import carried
from tests.cli.conftest import Invoke, interruptible
from tests.frontends.string_models import MODELS

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@contextmanager
def started(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The command in a process of its own, and what it tells as JSON."""
    with interruptible("serve-demo", *arguments, "--no-open", "--json") as process:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())


def get(url: str, posted: object = None) -> tuple[int, bytes, dict[str, str]]:
    body = None if posted is None else json.dumps(posted).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=20) as answer:
            return answer.status, answer.read(), {k.lower(): v for k, v in answer.headers.items()}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), {}


@pytest.mark.usefixtures("package")
def test_what_is_served_until_ctrl_c(packs: Path) -> None:
    with started(packs / "affine", "-s", "batch=2") as (process, told):
        url = told["url"]
        assert url.startswith(f"http://127.0.0.1:{told['port']}/")
        assert told["devices"] == ["webgpu", "wasm"]
        status, page, headers = get(url)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b'src="main.js"' in page
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
        assert (policy["default-src"], policy["script-src"]) == ("'none'", "'self' 'wasm-unsafe-eval'")
        assert json.loads(get(f"{url}job.json")[1])["symbols"] == {"batch": 2}
        for file in (packs / "affine").iterdir():
            assert get(f"{url}model.pack/{file.name}")[1] == file.read_bytes()
        script = carried.carried_runtime()["pyruntime.js"].read_bytes()
        assert get(f"{url}js/pyruntime.js")[1] == script
        assert get(f"{url}model.pack/../job.json")[0] == 404
        assert get(f"http://127.0.0.1:{told['port']}/job.json")[0] == 404
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.usefixtures("package")
def test_a_model_and_its_address_for_people(invoke: Invoke, model: Path, monkeypatch: Any) -> None:
    def end(served: demo.Served, opened: bool) -> None:
        assert opened
        assert get(f"{served.site.url}model.pack/pack.json")[0] == 200
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "wait", end)
    result = invoke("serve-demo", model)
    assert result.exit_code == 0, result.output
    assert re.search(r"^  http://127\.0\.0\.1:\d+/\S{32}/$", result.stdout, re.MULTILINE)
    assert "converted in" in result.stdout
    assert "Ctrl-C" in result.stdout


@pytest.mark.usefixtures("package")
def test_what_the_command_line_gets_wrong(invoke: Invoke, packs: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = invoke("serve-demo", packs / "affine", "--port", port, "--no-open")
    assert result.exit_code == 2
    told = " ".join(result.stderr.split())
    assert f"--port {port}: Address already in use; without --port" in told
    assert invoke("serve-demo", packs / "affine", "-s", "bach=2", "--no-open").exit_code == 2
    assert invoke("serve-demo", packs / "nowhere.pack", "--no-open").exit_code == 1


def test_a_wheel_without_the_runtime(invoke: Invoke, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(carried, "CARRIED", tmp_path)
    monkeypatch.setattr(carried, "_BUILT", tmp_path)
    result = invoke("serve-demo", "x.pack", "--json")
    assert result.exit_code == 4
    assert "built without the JavaScript runtime" in json.loads(result.stdout)["error"]["message"]


def header(framed: bytes) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(framed[8 : 8 + int.from_bytes(framed[:8], "little")])
    return made


def test_inputs_that_a_page_asks_for(packs: Path, tmp_path: Path) -> None:
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.save(tmp_path / "x.npy", x)
    with Pack(packs / "affine") as pack:
        given = demo.Feeder(pack, [f"x={tmp_path / 'x.npy'}"], {})
        assert given.symbols == {}  # the file has decided them
        framed = given.packed({"symbols": {}, "seed": 1})
        assert header(framed)["tensors"][0]["given"]
        assert framed.endswith(x.tobytes())
        feeder = demo.Feeder(pack, (), {"batch": 3})
        assert feeder.symbols == {"batch": 3}

        def refused(symbols: object, seed: object = 0) -> str:
            error: dict[str, str] = header(feeder.packed({"symbols": symbols, "seed": seed}))["error"]
            assert error["code"] == "input"
            return error["message"]

        assert "whole number" in refused({"batch": -1})
        assert "whole number" in refused({"batch": None})
        assert "whole number" in refused({"batch": 1}, 0.5)
        assert "no such symbol" in refused({"bach": 1})
        assert "4000000000 elements" in refused({"batch": 10**9})


@contextmanager
def opened(browser: Browser, pack: Path, **options: Any) -> Iterator[Visit]:
    """The page of a pack, once it has loaded it on Wasm."""
    with demo.served(demo.Request(pack)) as served:
        visit = Visit(browser, f"{served.site.url}?on=wasm", ready="#run:enabled", **options)
        yield visit
        here = served.site.url
        assert [url for url in visit.requests if not url.startswith((here, "data:"))] == []
        visit.close()


def trouble(visit: Visit) -> list[str]:
    """What went wrong; the runtime lets go of a download once it has all its bytes, which is no trouble."""
    return [told for told in visit.trouble if not told.endswith("net::ERR_ABORTED")]


def outputs(visit: Visit, kind: str = "wasm") -> list[dict[str, Any]]:
    """What the page shows when all its runs are done."""
    visit.page.locator(f"tr.{kind} td.run").filter(has_text=re.compile(r"\d m?s")).wait_for()
    told = visit.page.evaluate("demo()")
    assert (told["kind"], told["error"]) == (kind, None)
    made: list[dict[str, Any]] = told["outputs"]
    return made


def same(page: list[dict[str, Any]], native: list[dict[str, Any]]) -> None:
    """The page tells the outputs that `pyruntime run --json` tells."""
    for ours, theirs in zip(page, native, strict=True):
        assert [ours[k] for k in ("name", "dtype", "shape")] == [
            theirs[k] for k in ("name", "dtype", "shape")
        ]
        if ours["dtype"] in ("string", "bool"):
            assert ours["first"] == theirs["first"]
        else:
            assert [float(v) for v in ours["first"]] == pytest.approx([float(v) for v in theirs["first"]])
        if ours["dtype"] != "string":
            assert [ours["min"], ours["max"]] == pytest.approx([theirs["min"], theirs["max"]])
        assert ours["strange"] == theirs["nan"] + theirs["infinite"]


@pytest.mark.browser
@pytest.mark.usefixtures("package", "compiler")
@pytest.mark.parametrize(("name", "symbol"), [("affine", "batch"), ("dtypes", "n"), ("strings", "")])
def test_outputs_are_those_of_run(
    browser: Browser, invoke: Invoke, packs: Path, tmp_path: Path, name: str, symbol: str
) -> None:
    pack = packs / name
    if name == "strings":
        (tmp_path / "m.onnx").write_bytes(MODELS["strings-made"][0].SerializeToString())
        pyruntime.convert(tmp_path / "m.onnx", pack := tmp_path / "strings.pack", targets=("wasm",))
    sizes = ("-s", f"{symbol}=3") if symbol else ()
    native = json.loads(invoke("run", pack, "-r", *sizes, "--seed", 5, "-d", "wasm", "--json").stdout)
    with opened(browser, pack) as visit:
        if symbol:
            visit.page.get_by_label(symbol, exact=True).fill("3")
        visit.page.get_by_label("seed").fill("5")
        visit.page.get_by_label("seed").press("Enter")  # as the button does
        same(outputs(visit), native["outputs"])
        assert visit.page.locator("tr.wasm td.first").inner_text().endswith("s")
        assert trouble(visit) == []


@pytest.mark.browser
@pytest.mark.usefixtures("package")
def test_the_page(browser: Browser, packs: Path) -> None:
    """Devices, bytes, errors, and code that runs as it stands; on a phone nothing is cut off."""
    context = {
        "viewport": PHONE,
        "color_scheme": "dark",
        "permissions": ["clipboard-read", "clipboard-write"],
    }
    with opened(browser, packs / "affine", **context) as visit:
        page = visit.page
        page.get_by_role("button", name="Run").click()
        on_wasm = outputs(visit)
        told = {row["what"]: row["bytes"] for row in page.evaluate("demo()")["bytes"]}
        assert told["Model: pack.json"] == (packs / "affine" / "pack.json").stat().st_size
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]

        page.get_by_label("batch", exact=True).fill("1000000000")
        page.locator("#error:not(:empty)").wait_for()
        assert "elements" in page.locator("#error").inner_text()
        page.get_by_label("batch", exact=True).fill("1")
        page.locator("#error:empty").wait_for(state="attached")

        page.locator("#source summary").press("Enter")
        page.get_by_role("button", name="Copy").click()
        page.get_by_role("button", name="Copied").wait_for()
        code = page.evaluate("navigator.clipboard.readText()")
        assert code == page.locator("#source code").text_content()
        first, *rest = code.splitlines()
        assert first.startswith('import { load } from "pyruntime";')
        body = "\n".join(rest).replace('"/affine.pack/"', '"model.pack/"').replace("session.dispose();", "")
        ran = page.evaluate(
            "async () => { const { load } = await import(new URL('js/pyruntime.js', location.href).href);"
            f" {body} session.dispose(); return {{ device: session.device, shape: outputs.y.shape }}; }}"
        )
        assert ran == {"device": "wasm", "shape": on_wasm[0]["shape"]}

        page.locator("input[value=webgpu]").check()
        page.locator("#run:enabled").wait_for()
        page.get_by_role("button", name="Run").click()
        assert outputs(visit, "webgpu")[0]["first"] == pytest.approx(on_wasm[0]["first"], rel=1e-5)
        assert trouble(visit) == []


@pytest.mark.browser
@pytest.mark.usefixtures("package")
def test_a_pack_that_could_not_be_fetched(browser: Browser, packs: Path) -> None:
    """The page says so, and goes on when it is asked to try again."""
    with opened(browser, packs / "affine") as visit:
        page, again = visit.page, visit.page.get_by_role("button", name="Try again")
        assert not again.is_visible()
        page.route("**/model.pack/*", lambda route: route.abort("internetdisconnected"))
        page.locator("input[value=webgpu]").check()
        again.wait_for()
        assert "cannot be fetched" in page.locator("#status").inner_text()
        assert page.get_by_role("button", name="Run").is_disabled()
        page.unroute("**/model.pack/*")
        again.click()
        page.locator("#run:enabled").wait_for()
        assert not again.is_visible()
        assert page.evaluate("document.activeElement.value") == "webgpu"
