"""Skips the tests whose device or data this machine lacks, or fails them under --require-devices.

Also the one place that knows where the real models are and which browser to drive.
"""

import functools
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from scripts.setup import NPM

ROOT = Path(__file__).resolve().parents[1]
SHARED_MODELS = ROOT.parent / "shared" / "models"


@functools.cache
def lacks_webgpu() -> str:
    """Why no WebGPU adapter can be had in this process; empty when one can."""
    if importlib.util.find_spec("wgpu") is None:
        return "wgpu is not installed"
    import wgpu

    try:
        wgpu.gpu.request_adapter_sync()
    except RuntimeError as error:
        return f"no WebGPU adapter: {error}"
    return ""


@functools.cache
def lacks_wasm() -> str:
    """Why no Wasm engine can be had in this process; empty when one can."""
    return "" if importlib.util.find_spec("wasmtime") else "wasmtime is not installed"


@functools.cache
def lacks_browser() -> str:
    """Why no browser can be driven; empty when one can."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    return "" if shutil.which("chromium") else "chromium is not on PATH"


DEVICES = {"webgpu": lacks_webgpu, "wasm": lacks_wasm, "browser": lacks_browser}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-devices", action="store_true", help="fail, rather than skip, where a device is missing"
    )


def pytest_configure(config: pytest.Config) -> None:
    if "XDG_RUNTIME_DIR" not in os.environ:  # wgpu asks for it, and containers leave it unset
        folder = tempfile.TemporaryDirectory(prefix="runtime-")
        config.add_cleanup(folder.cleanup)
        os.environ["XDG_RUNTIME_DIR"] = folder.name
    # Machines are slow and shared, so no deadline; where CI runs, the same examples each time.
    settings.register_profile("project", deadline=None, derandomize=bool(os.environ.get("CI")))
    settings.load_profile("project")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, lacks in DEVICES.items():
        if item.get_closest_marker(marker) and (reason := lacks()):
            without(item.config, reason)
    if item.get_closest_marker("shared") and not SHARED_MODELS.is_dir():
        pytest.skip("the real models in ../shared are not there")


def without(config: pytest.Config, reason: str) -> None:
    """Skip the test for what this machine lacks, or fail it under --require-devices."""
    if config.getoption("--require-devices"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def npm(request: pytest.FixtureRequest) -> None:
    """For tests and fixtures that use npm packages: all that set-up installs are there."""
    missing = [str(folder.relative_to(ROOT)) for folder in NPM if not (folder / "node_modules").is_dir()]
    if missing:
        without(request.config, f"npm packages are not installed in {', '.join(missing)}: make setup")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser that Playwright is told to start: executable_path=chromium."""
    path = shutil.which("chromium")
    assert path is not None, "mark the test with `browser`"
    return path


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of real trained models; mark the test with `shared`."""
    return SHARED_MODELS


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the real all-MiniLM-L6-v2: installed by pip, or where `make demo` keeps it."""
    from demo_site.search import model

    spec = importlib.util.find_spec(model.PACKAGE.replace("-", "_"))
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else model.kept()
    if not folder.is_dir():
        pytest.skip(f"{model.PACKAGE} is not there: make demo fetches it")
    return folder


@pytest.fixture(scope="session")
def golden_packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all golden packs and their cases, built once for all tests that run them."""
    from tests.golden.build import write_packs

    folder = tmp_path_factory.mktemp("golden")
    write_packs(folder)
    return folder
