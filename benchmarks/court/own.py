"""An ONNX file of the user's as a benchmark, for the engines that read such files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper

from benchmarks.court.benchmark import BUILD, Benchmark
from benchmarks.court.tensors import write
from benchmarks.models.source import Feeds
from benchmarks.models.trace import run, trace

OWN = BUILD / "own"


def random_feeds(proto: ModelProto, symbols: Mapping[str, int]) -> Feeds:
    """Inputs from one seed: floats in -1 to 1, integers in 0 to 9; symbols that are not given are 1."""
    rng = np.random.default_rng(0)
    feeds: Feeds = {}
    for value in proto.graph.input:
        tensor = value.type.tensor_type
        shape = [d.dim_value or symbols.get(d.dim_param, 1) for d in tensor.shape.dim]
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        values = rng.uniform(-1, 1, shape) if dtype.kind == "f" else rng.integers(0, 10, shape)
        feeds[value.name] = values.astype(dtype)
    return feeds


def own(model: Path, feeds: Path | None, symbols: Mapping[str, int]) -> Benchmark:
    """The benchmark of a file.

    Args:
        model: the ONNX file.
        feeds: an .npz file of its inputs by name; without one they are random.
        symbols: sizes of random inputs that the model leaves open.
    """
    proto = onnx.load(model)
    # files before IR version 4 list weights as inputs, too
    weights = {i.name for i in proto.graph.initializer}
    inputs = [i for i in proto.graph.input if i.name not in weights]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    proto.ir_version = max(4, proto.ir_version)
    given = dict(np.load(feeds)) if feeds else random_feeds(proto, symbols)
    folder = OWN / model.stem
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    write(folder / "feeds.safetensors", given)
    write(folder / "outputs.safetensors", run(proto, given))
    weight_bytes = sum(numpy_helper.to_array(i).nbytes for i in proto.graph.initializer)
    about = {"name": model.stem, "operations": trace(proto, given).operations, "weight_bytes": weight_bytes}
    about["formats"] = {"onnx-int8": {"missing": "a model of your own is raced as it is"}}
    (folder / "benchmark.json").write_text(json.dumps(about))
    return Benchmark(folder)
