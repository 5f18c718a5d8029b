"""Building the site: whole or not at all, and never a network that is worse than it should be."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from demo_site.build import build_site
from demo_site.checks import Checks
from demo_site.demo import RUNTIME, Demo, DemoError, UnavailableError
from demo_site.digits.demo import Digits
from demo_site.digits.training import Settings
from tests.packs.maker import compiler_missing

NEEDED = {name for names in RUNTIME.values() for name in names}
BRIEF = Settings(epochs=2, drawings=4)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=110)


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """Something in the place of js_bindings/dist."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in (*NEEDED, "pyruntime.js.map", "index.d.ts"):
        (folder / name).write_text(name)
    return folder


class Small:
    """A demo of one file, which may break after writing it."""

    title = "A small one"

    def __init__(self, text: str, error: BaseException | None = None, name: str = "small") -> None:
        self.text, self.error, self.name = text, error, name
        self.card = Digits.card

    def build(self, site: Path, console: Console) -> None:
        (site / self.name).mkdir()
        (site / self.name / "index.html").write_text(f"<!-- head --><!-- nav -->{self.text}")
        if self.error:
            raise self.error

    def check(self, browser: object, address: str, site: Path, checks: Checks) -> None:
        """Not called here."""


def build(tmp_path: Path, runtime: Path, console: Console, *demos: Demo) -> Path:
    site = tmp_path / "out" / "dist"
    site.parent.mkdir(exist_ok=True)
    build_site(demos, console, site, runtime)
    return site


def page(site: Path, name: str = "small") -> str:
    """What stands on a demo's page after what all pages share, and the links to all demos."""
    parts, _, text = (site / name / "index.html").read_text().partition("</nav>")
    assert "<title>A small one · pyruntime</title>" in parts
    assert f'<a href="../{name}/" aria-current=page>' in parts
    return text


def test_site(tmp_path: Path, runtime: Path, console: Console) -> None:
    site = build(tmp_path, runtime, console, Small("one"))
    assert page(site) == "one"
    front = (site / "index.html").read_text()
    assert "Draw a digit" in front
    assert "<title>pyruntime</title>" in front
    for folder, path in ((site, "shared/site.css"), (site / "small", "../shared/site.css")):
        assert f'href="{path}"' in (folder / "index.html").read_text()
    assert (site / "shared" / "site.css").is_file()
    assert {file.name for file in (site / "js").iterdir()} == {*NEEDED, "pyruntime.js.map"}
    build(tmp_path, runtime, console, Small("two"))
    assert page(site) == "two"
    assert [p.name for p in site.parent.iterdir()] == ["dist"]


@pytest.mark.parametrize("error", [DemoError("broken"), KeyboardInterrupt()])
def test_failure_leaves_the_old_site(
    tmp_path: Path, runtime: Path, console: Console, error: BaseException
) -> None:
    site = build(tmp_path, runtime, console, Small("old"))
    with pytest.raises(type(error)):
        build(tmp_path, runtime, console, Small("new", error))
    assert page(site) == "old"
    assert [p.name for p in site.parent.iterdir()] == ["dist"]


def test_without_what_cannot_be_had(tmp_path: Path, runtime: Path, console: Console) -> None:
    """A demo whose material cannot be had is told, and neither there nor linked."""
    missing = Small("missing", UnavailableError("no model today"), "missing")
    site = tmp_path / "dist"
    kept = Small("kept", None, "kept")
    assert build_site([missing, kept], console, site, runtime) == [kept]
    assert "without the demo 'missing': no model today" in told(console)
    assert not (site / "missing").exists()
    assert "missing" not in (site / "kept" / "index.html").read_text()
    with pytest.raises(DemoError, match="no demo can be built here"):
        build_site([missing], console, site, runtime)
    assert page(site, "kept") == "kept"


def told(console: Console) -> str:
    """All that was printed."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_failure_of_the_first_build_leaves_nothing(tmp_path: Path, runtime: Path, console: Console) -> None:
    with pytest.raises(DemoError):
        build(tmp_path, runtime, console, Small("new", DemoError("broken")))
    assert not list((tmp_path / "out").iterdir())


def test_missing_runtime(tmp_path: Path, runtime: Path, console: Console) -> None:
    (runtime / "worker.js").unlink()
    with pytest.raises(DemoError, match=r"worker\.js is missing: npm .* run build"):
        build(tmp_path, runtime, console, Small("new"))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.skipif(bool(compiler_missing()), reason="no C compiler for Wasm")
def test_digits(tmp_path: Path, runtime: Path, console: Console) -> None:
    site = build(tmp_path, runtime, console, Digits(BRIEF, least_accuracy=0.5))
    page = site / "digits"
    manifest = json.loads((page / "digits.pack" / "pack.json").read_text())
    assert set(manifest["targets"]) == {"webgpu", "wasm"}
    facts = json.loads((page / "facts.json").read_text())
    assert facts["runtime"] == {device: sum(map(len, names)) for device, names in RUNTIME.items()}
    assert 0.5 < facts["accuracy"] < 1
    assert (page / "index.html").is_file()


@pytest.mark.skipif(bool(compiler_missing()), reason="no C compiler for Wasm")
def test_a_network_that_reads_too_little(tmp_path: Path, runtime: Path, console: Console) -> None:
    with pytest.raises(DemoError, match=r"reads \d+\.\d% of unseen digits, 99% are wanted"):
        build(tmp_path, runtime, console, Digits(Settings(epochs=1, drawings=1), least_accuracy=0.99))
    assert not list((tmp_path / "out").iterdir())


def test_checks_fail_as_a_whole() -> None:
    checks = Checks()
    checks.add("one", True, "fine")
    assert not checks.failed
    checks.add("two", False, "this is wrong")
    assert checks.failed == ["two: this is wrong"]
