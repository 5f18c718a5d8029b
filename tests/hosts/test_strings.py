"""Models of strings give the same on every host: what skl2onnx exports, and what makes new strings."""

from __future__ import annotations

from pathlib import Path

import pytest

import pyruntime
from tests.converter.compare import assert_close
from tests.frontends.onnx_models import runtime
from tests.frontends.string_models import MODELS
from tests.hosts.conftest import Run
from tests.hosts.places import HOSTS
from tests.packs.maker import compiler_missing

pytestmark = [
    pytest.mark.parametrize("host", HOSTS),
    pytest.mark.skipif(bool(compiler_missing()), reason="no C compiler for Wasm"),
]


@pytest.fixture(scope="session", params=["strings-pipeline", "strings-made"])
def model(request: pytest.FixtureRequest, packs: Path) -> str:
    """The name of a model and of its pack."""
    name: str = request.param
    proto, _ = MODELS[name]
    (packs / f"{name}.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(packs / f"{name}.onnx", packs / name)
    return name


def test_strings(run: Run, packs: Path, model: str) -> None:
    proto, feeds = MODELS[model]
    for given, outputs in zip(feeds, run(packs / model, list(map(dict, feeds))), strict=True):
        expected = runtime(proto, given)
        assert outputs.keys() == expected.keys()
        for name, array in expected.items():
            assert_close(outputs[name], array, 1e-5)
