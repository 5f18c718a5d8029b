"""Small models in the engines themselves, where `make bench` or the making of its models has been run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.court.engines import PEERS
from benchmarks.models.agree import alike, near
from benchmarks.models.peers import litert, node
from benchmarks.models.peers.tfjs import tfjs
from benchmarks.models.peers.translate import translate
from benchmarks.models.trace import run, trace
from tests.benchmarks.test_models import EACH, SMALL

LITERT = pytest.mark.skipif(not litert.PACKAGES.is_dir(), reason="LiteRT's packages are not installed")
TFJS = pytest.mark.skipif(
    not (PEERS / "@tensorflow" / "tfjs-backend-wasm").is_dir(), reason="TensorFlow.js is not installed"
)


@LITERT
@EACH
def test_litert(name: str) -> None:
    source = SMALL[name]()
    graph = translate(trace(source.proto, source.feeds))
    expected = run(source.proto, source.feeds)
    data = litert.written(graph)
    assert near(litert.run(data, graph, source.feeds), expected, name) < 1e-5
    integer = litert.quantised(data, graph, source)
    assert len(integer) < len(data)
    assert alike(litert.run(integer, graph, source.feeds), expected, name) > 0.98


@LITERT
def test_same_bytes() -> None:
    source = SMALL["lstm"]()
    graphs = [translate(trace(source.proto, source.feeds)) for _ in range(2)]
    first, second = (litert.written(g) for g in graphs)
    assert first == second
    assert litert.quantised(first, graphs[0], source) == litert.quantised(second, graphs[1], source)


@TFJS
@EACH
def test_tensorflow_js(name: str, tmp_path: Path) -> None:
    source = SMALL[name]()
    graph = translate(trace(source.proto, source.feeds))
    tfjs(graph, tmp_path / "tfjs")
    made = node.run(tmp_path / "tfjs", graph, source.feeds, PEERS)
    assert near(made, run(source.proto, source.feeds), name) < 1e-5
