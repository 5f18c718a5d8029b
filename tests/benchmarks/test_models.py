"""The benchmarks' models, small: pyruntime and ONNX Runtime agree, and integer forms are near."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import pyruntime
from benchmarks.models.__main__ import chosen
from benchmarks.models.agree import alike
from benchmarks.models.catalogue import BENCHMARKS
from benchmarks.models.images import detector, mobilenetv2, resnet50
from benchmarks.models.integer import quantised
from benchmarks.models.minilm import encoder
from benchmarks.models.peers import files
from benchmarks.models.sequences import Decoder, llama, lstm, matmul
from benchmarks.models.source import Source
from benchmarks.models.trace import run, trace
from benchmarks.models.write import current, write
from tests.frontends.onnx_models import same
from tests.passes.bert import Size, feeds

TINY = Size(layers=2, width=24, heads=3, inner=40, vocabulary=50, positions=16)

SMALL: dict[str, Callable[[], Source]] = {
    "matmul": lambda: matmul(3, 17),
    "lstm": lambda: lstm(2, 12, 5),
    "llama": lambda: llama(Decoder(layers=2, width=24, heads=3, inner=20, vocabulary=50, past=7)),
    "mobilenetv2": lambda: mobilenetv2(32, 2),
    "resnet50": lambda: resnet50(40, (1, 1)),
    "detector": lambda: detector(64, 8),
    "minilm": lambda: encoder(TINY, None, feeds(TINY, 1, 9)),
}
EACH = pytest.mark.parametrize("name", SMALL)


@pytest.mark.wasm
@EACH
def test_packs(name: str, tmp_path: Path) -> None:
    source = SMALL[name]()
    (tmp_path / "model.onnx").write_bytes(source.proto.SerializeToString())
    pyruntime.convert(tmp_path / "model.onnx", tmp_path / "pack", targets=("wasm",))
    with pyruntime.load(tmp_path / "pack", device="wasm") as session:
        same(session.run(source.feeds), run(source.proto, source.feeds), 1e-5)


@EACH
def test_same_seed_same_bytes(name: str) -> None:
    first, second = (SMALL[name]() for _ in range(2))
    assert first.proto.SerializeToString(deterministic=True) == second.proto.SerializeToString(
        deterministic=True
    )
    assert {n: a.tobytes() for n, a in first.feeds.items()} == {
        n: a.tobytes() for n, a in second.feeds.items()
    }


@EACH
def test_integer_forms(name: str) -> None:
    source = SMALL[name]()
    integer = quantised(source)
    stored = {i.data_type for i in integer.graph.initializer if len(i.dims) > 1}
    assert onnx.TensorProto.INT8 in stored
    assert alike(run(integer, source.feeds), run(source.proto, source.feeds), name) > 0.98


def test_operations_counted() -> None:
    """By hand: a product, and a convolution with groups, inside a whole model."""
    assert trace(matmul(3, 17).proto, matmul(3, 17).feeds).operations == 2 * 3 * 17 * 17
    made = lstm(1, 12, 5)
    assert trace(made.proto, made.feeds).operations == 2 * 5 * 4 * 12 * (12 + 12)
    made = mobilenetv2(32, 1)
    stem, depthwise, project = 16 * 16 * 32 * 27, 16 * 16 * 32 * 9, 16 * 16 * 16 * 32
    last, classes = 16 * 16 * 1280 * 16, 1280 * 1000
    assert trace(made.proto, made.feeds).operations == 2 * (stem + depthwise + project + last + classes)


def test_given_weights_are_used() -> None:
    """Linear layers have PyTorch's weights transposed."""
    asked: dict[str, tuple[int, ...]] = {}

    def given(name: str, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        asked[name] = shape
        return np.full(shape, len(asked), np.float32)

    proto = encoder(TINY, given, feeds(TINY, 1, 9)).proto
    assert asked["encoder.layer.1.intermediate.dense.weight"] == (40, 24)
    assert len(asked) == 3 + 2 + 2 * 16
    wide = [i.dims for i in proto.graph.initializer if set(i.dims) == {24, 40}]
    assert [list(d) for d in wide] == [[24, 40], [40, 24]] * 2


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is up to date is known by its sources; formats that others' packages write are left out here."""
    monkeypatch.setattr(files, "write", lambda *_: ({"tfjs": {"missing": "not in tests"}}, {}))
    told = write("lstm", SMALL["lstm"](), tmp_path / "lstm", "of these sources")
    assert json.loads((tmp_path / "lstm" / "benchmark.json").read_text()) == told
    assert current(tmp_path / "lstm", "of these sources")
    assert not current(tmp_path / "lstm", "of others")
    assert not current(tmp_path / "none", "of these sources")
    for name in ("onnx", "onnx-int8"):
        assert (tmp_path / "lstm" / told["formats"][name]["file"]).stat().st_size == told["formats"][name][
            "bytes"
        ]


def test_names() -> None:
    assert chosen([]) == list(BENCHMARKS)
    assert chosen(["minilm-*", "lstm"]) == ["lstm", "minilm-16", "minilm-128", "minilm-256"]
    with pytest.raises(SystemExit, match="no benchmark is called resnet-50; there are matmul-64, "):
        chosen(["resnet-50"])
