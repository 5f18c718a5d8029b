"""Makes a model on which a target is wrong smaller, as long as it stays wrong, and writes it down.

A step takes away runs, outputs, or nodes: what a node gave is fed instead, as ONNX's reference has it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, printer
from pyruntime_converter.frontends.onnx.order import reads

from tests.fuzz.models import Made
from tests.fuzz.wide import Array, Walk

Failing = Callable[[Made], bool]
_NOT_NUMPYS = 2  # `np.dtype.isbuiltin` of types such as bfloat16


def shrunk(made: Made, failing: Failing, most: int = 80) -> Made:
    """The smallest model found that `failing` still calls wrong.

    Args:
        made: a wrong one.
        failing: whether a model is still wrong in the same way.
        most: how many models are tried.
    """
    left, progress = most, True
    while progress:
        progress = False
        for smaller in _smaller(made)[:left]:
            left -= 1
            with contextlib.suppress(Exception):  # what is no model any more is not smaller
                candidate = smaller()
                if failing(candidate):
                    made, progress = candidate, True
                    break
    return made


def _smaller(made: Made) -> list[Callable[[], Made]]:
    """What makes simpler models, the simplest first."""
    nodes, outputs = list(made.proto.graph.node), [o.name for o in made.proto.graph.output]
    cut = functools.partial(_pruned, made.proto, nodes)
    found: list[Callable[[], Made]] = []
    if len(made.feeds) > 1:
        found += [functools.partial(cut, outputs, [feeds], fixed=True) for feeds in made.feeds]
    if len(outputs) > 1:
        found += [functools.partial(cut, [output], made.feeds) for output in outputs]
    for count in sorted({len(nodes) // 2, len(nodes) // 4, 1} - {0}, reverse=True):
        groups = (range(i, min(i + count, len(nodes))) for i in range(0, len(nodes), count))
        found += [functools.partial(_without, made, set(group)) for group in groups]
    earlier = [n.output[0] for n in nodes if n.output[0] not in outputs]
    return found + [functools.partial(cut, [output], made.feeds) for output in earlier]


def _without(made: Made, gone: set[int]) -> Made:
    """Without some nodes; what others read of them is fed."""
    proto = made.proto
    kept = [n for i, n in enumerate(proto.graph.node) if i not in gone]
    lost = {name for i in gone for name in proto.graph.node[i].output}
    outputs = [o.name for o in proto.graph.output if o.name not in lost]
    if not outputs or not kept:
        raise ValueError("nothing is left")
    values = [Walk(proto).run(feeds) for feeds in made.feeds]
    read = {name for node in kept for name in reads(node)} & lost
    feeds = [{**f, **{n: v[n] for n in read}} for f, v in zip(made.feeds, values, strict=True)]
    return _pruned(proto, kept, outputs, feeds)


def _pruned(
    proto: ModelProto,
    nodes: list[NodeProto],
    outputs: list[str],
    feeds: list[dict[str, Array]],
    fixed: bool = False,
) -> Made:
    """A model of the nodes that outputs need."""
    needed, kept = set(outputs), list[NodeProto]()
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.insert(0, node)
            needed.update(reads(node))
    declared = {} if fixed else {v.name: v for v in proto.graph.input}
    fed = [{n: a for n, a in f.items() if n in needed} for f in feeds]
    made = ModelProto()
    made.CopyFrom(proto)
    del made.graph.node[:], made.graph.input[:], made.graph.output[:], made.graph.initializer[:]
    made.graph.node.extend(kept)
    made.graph.input.extend(declared.get(n) or _info(n, [f[n] for f in fed]) for n in fed[0])
    made.graph.initializer.extend(t for t in proto.graph.initializer if t.name in needed)
    made.graph.output.extend(ValueInfoProto(name=n) for n in outputs)
    return Made(made, fed)


def _info(name: str, arrays: list[Array]) -> ValueInfoProto:
    sizes = list(zip(*(a.shape for a in arrays), strict=True))
    shape = [s[0] if len(set(s)) == 1 else f"{name}_{i}" for i, s in enumerate(sizes)]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(arrays[0].dtype), shape)


def write(made: Made, folder: Path, name: str, reason: str) -> Path:
    """Write a model as text, which says what is fed, and as files to run again."""
    folder.mkdir(parents=True, exist_ok=True)
    fed: dict[str, Any] = {f"{i}/{n}": a for i, f in enumerate(made.feeds) for n, a in f.items()}
    # files know NumPy's own types alone: of others they hold the bits
    bits = {k: a.view(f"u{a.itemsize}") if a.dtype.isbuiltin == _NOT_NUMPYS else a for k, a in fed.items()}
    np.savez(folder / f"{name}.npz", **bits)
    (folder / f"{name}.onnx").write_bytes(made.proto.SerializeToString())
    lines = [f"# {reason}", printer.to_text(made.proto)]
    for number, feeds in enumerate(made.feeds):
        lines += [f"# run {number}: {n} = {a.dtype}{list(a.shape)} {a.tolist()}" for n, a in feeds.items()]
    path = folder / f"{name}.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> Made:
    """The model that `write` wrote, by the path of its .onnx."""
    feeds: dict[str, dict[str, Array]] = {}
    proto = ModelProto.FromString(path.read_bytes())
    types = {v.name: helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type) for v in proto.graph.input}
    with np.load(path.with_suffix(".npz")) as stored:
        for key in stored.files:
            run, _, name = key.partition("/")
            others = types[name].isbuiltin == _NOT_NUMPYS
            feeds.setdefault(run, {})[name] = stored[key].view(types[name]) if others else stored[key]
    return Made(proto, [feeds[k] for k in sorted(feeds)] or [{}])
