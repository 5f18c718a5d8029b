"""Small models whose results are as many as the data say, with inputs that select none, some and all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from tests.frontends.onnx_models import Array, model, value_info

Feeds = Mapping[str, Array]
Sizes = Sequence[int | str | None]
node = helper.make_node


def sparse(*shape: int, seed: int = 0, share: float = 0.4) -> NDArray[np.float32]:
    """Elements of which only a share is not zero."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * (rng.random(shape) < share)).astype(np.float32)


def _indices() -> tuple[ModelProto, list[Feeds]]:
    """Of the elements that are not zero; a running count of more than a thousand goes by rows."""
    shapes = ((2, 3, 5), (1, 1, 5), (7, 31, 5), (8, 32, 5))
    feeds: list[Feeds] = [{"x": sparse(*shape)} for shape in shapes]
    feeds += [{"x": np.full((2, 3, 5), value, np.float32)} for value in (0, 1, np.nan)]
    return model([node("NonZero", ["x"], ["out"])], feeds[0], ["out"], shapes={"x": ["a", "b", 5]}), feeds


def _read_back() -> tuple[ModelProto, list[Feeds]]:
    """What is not zero, its squares, their number and sum, and as many random others."""
    nodes = [
        node("NonZero", ["x"], ["rows"]),
        node("Transpose", ["rows"], ["at"], perm=[1, 0]),
        node("GatherND", ["x", "at"], ["found"]),
        node("GatherND", ["y", "at"], ["others"]),
        node("Mul", ["found", "others"], ["out"]),
        node("ReduceSum", ["out"], ["sum"], keepdims=0),
        node("Shape", ["rows"], ["shape"]),
    ]
    feeds: list[Feeds] = [{"x": sparse(n, 7, seed=n), "y": sparse(n, 7, share=1)} for n in (3, 1, 50, 200)]
    feeds.append({"x": np.zeros((3, 7), np.float32), "y": sparse(3, 7)})
    shapes: dict[str, Sizes] = {"x": ["n", 7], "y": ["n", 7]}
    return model(nodes, feeds[0], ["out", "sum", "shape"], shapes=shapes), feeds


def _masked_twice() -> tuple[ModelProto, list[Feeds]]:
    """Two tensors by one condition are as long as each other."""
    nodes = [
        node("Compress", ["x", "c"], ["a"], axis=0),
        node("Compress", ["y", "c"], ["b"], axis=0),
        node("Add", ["a", "b"], ["out"]),
        node("MatMul", ["out", "w"], ["product"]),
        node("Compress", ["x", "d"], ["some"]),
    ]
    rng = np.random.default_rng(1)
    feeds: list[Feeds] = [
        {
            "x": sparse(n, 3, share=1),
            "y": sparse(n, 3, seed=2, share=1),
            "c": rng.random(n) < share,
            "d": rng.random(many) < share,
        }
        for n, many, share in ((5, 4, 0.5), (1, 2, 0.0), (9, 27, 1.0), (40, 3, 0.3))
    ]
    shapes: dict[str, Sizes] = {"x": ["n", 3], "y": ["n", 3], "c": ["n"], "d": ["many"]}
    weights = {"w": sparse(3, 4, share=1)}
    return model(nodes, feeds[0], ["out", "product", "some"], shapes=shapes, weights=weights), feeds


def _masked() -> tuple[ModelProto, list[Feeds]]:
    """Where a mask holds, what stands there is doubled."""
    nodes = [
        node("Greater", ["x", "limit"], ["mask"]),
        node("NonZero", ["mask"], ["rows"]),
        node("Transpose", ["rows"], ["at"], perm=[1, 0]),
        node("GatherND", ["x", "at"], ["found"]),
        node("Add", ["found", "found"], ["twice"]),
        node("ScatterND", ["x", "at", "twice"], ["out"]),
    ]
    feeds: list[Feeds] = [{"x": sparse(n, 5, seed=n, share=1)} for n in (3, 1, 300)]
    weights = {"limit": np.array(0.5, np.float32)}
    return model(nodes, feeds[0], ["out"], shapes={"x": ["n", 5]}, weights=weights), feeds


def _parameters() -> tuple[ModelProto, list[Feeds]]:
    """Boxes by corners; how many, and the thresholds, are fed."""
    feeds: list[Feeds] = [
        {
            "boxes": np.random.default_rng(n).uniform(0, 9, (b, n, 4)).astype(np.float32),
            "scores": np.random.default_rng(n + 1).random((b, 3, n)).astype(np.float32),
            "most": np.array([most]),
            "overlap": np.array([overlap], np.float32),
            "lowest": np.array([lowest], np.float32),
        }
        for b, n, most, overlap, lowest in ((1, 20, 0, 0.5, 0), (2, 50, 7, 0.1, 0.5), (3, 30, 1000, 1, 0.9))
    ]
    shapes: dict[str, Sizes] = {"boxes": ["b", "n", 4], "scores": ["b", 3, "n"]}
    return model(
        [node("NonMaxSuppression", list(feeds[0]), ["out"])], feeds[0], ["out"], shapes=shapes
    ), feeds


def _detector() -> tuple[ModelProto, list[Feeds]]:
    """The end of a YOLO: box, score and class of each detection, from [batch, 4 + classes, anchors]."""
    given = ["boxes", "scores", "most", "overlap", "lowest"]
    nodes = [
        node("Slice", ["x", "zero", "four", "one"], ["sides"]),
        node("Slice", ["x", "four", "nine", "one"], ["logits"]),
        node("Sigmoid", ["logits"], ["scores"]),
        node("Transpose", ["sides"], ["boxes"], perm=[0, 2, 1]),
        node("NonMaxSuppression", given, ["at"], center_point_box=1),
        node("Slice", ["at", "one", "two", "one"], ["class"]),
        node("Gather", ["at", "ends"], ["box"], axis=1),
        node("GatherND", ["boxes", "box"], ["found"]),
        node("GatherND", ["scores", "at"], ["score"]),
        node("Unsqueeze", ["score", "one"], ["column"]),
        node("Cast", ["class"], ["label"], to=1),
        node("Concat", ["found", "column", "label"], ["out"], axis=1),
        node("ReduceSum", ["score"], ["sum"], keepdims=0),
        node("Shape", ["out"], ["shape"]),
    ]
    weights = {name: np.array([n]) for n, name in enumerate(("zero", "one", "two"))}
    weights |= {
        "four": np.array([4]),
        "nine": np.array([9]),
        "most": np.array([12]),
        "ends": np.array([0, 2]),
    }
    weights |= {"overlap": np.array([0.45], np.float32), "lowest": np.array([0.6], np.float32)}
    feeds: list[Feeds] = []
    for batch, anchors, shift in ((1, 840, -2), (2, 210, -2), (3, 35, 3), (1, 50, -99)):
        rng = np.random.default_rng(anchors)
        parts = (
            rng.uniform(0, 320, (batch, 2, anchors)),
            rng.uniform(10, 80, (batch, 2, anchors)),
            rng.standard_normal((batch, 5, anchors)) * 2 + shift,
        )
        feeds.append({"x": np.concatenate(parts, axis=1).astype(np.float32)})
    shapes: dict[str, Sizes] = {"x": ["batch", 9, "anchors"]}
    return model(nodes, feeds[0], ["out", "at", "sum", "shape"], shapes=shapes, weights=weights), feeds


def _unlike() -> tuple[ModelProto, list[Feeds]]:
    """Unlike numbers with all that is told of them, and unlike columns in the order of their first."""
    told = ["found", "first", "which", "often"]
    nodes = [
        node("Unique", ["x"], told),
        node("Unique", ["x"], ["columns", "", "", "times"], axis=1, sorted=0),
    ]
    feeds: list[Feeds] = []
    for rows, columns in ((3, 5), (1, 1), (2, 40), (20, 9)):
        rng = np.random.default_rng(columns)
        feeds.append({"x": rng.integers(0, 2, (rows, columns)).astype(np.float32)})
    outputs = [*told, "columns", "times"]
    return model(nodes, feeds[0], outputs, shapes={"x": ["rows", "columns"]}), feeds


def _parts() -> tuple[ModelProto, list[Feeds]]:
    """From where the greatest is, up to as many from the end, and between two places of a table."""
    nodes = [
        node("ArgMax", ["m"], ["at"], axis=0, keepdims=1),
        node("Neg", ["at"], ["back"]),
        node("Slice", ["x", "at", "far", "zero"], ["after"]),
        node("Slice", ["x", "zero", "back", "zero"], ["before"]),
        node("ReduceSum", ["after", "zero"], ["sum"], keepdims=0),
        node("Cast", ["from"], ["first"], to=7),
        node("Cast", ["to"], ["last"], to=7),
        node("Slice", ["table", "first", "last", "axes", "steps"], ["out"]),
    ]
    weights: dict[str, Array] = {"far": np.array([2**62]), "zero": np.array([0]), "axes": np.array([1, 0])}
    weights |= {"steps": np.array([2, 1]), "table": np.arange(35, dtype=np.float32).reshape(5, 7)}
    places = (([0, 0], [7, 5]), ([-3, 1], [99, -1]), ([5, 4], [2, 2]), ([-99, -2], [-1, 5]))
    feeds: list[Feeds] = []
    for number, (first, last) in enumerate(places):
        rng, size = np.random.default_rng(number), 3 * number + 1
        fed = {
            "m": rng.random(size),
            "x": rng.random((size, 3)),
            "from": np.array(first),
            "to": np.array(last),
        }
        feeds.append({name: array.astype(np.float32) for name, array in fed.items()})
    shapes: dict[str, Sizes] = {"m": ["n"], "x": ["n", 3]}
    return model(nodes, feeds[0], ["after", "before", "sum", "out"], shapes=shapes, weights=weights), feeds


def _bags() -> tuple[ModelProto, list[Feeds]]:
    """Sums of rows of a table, as many as the offsets say, as EmbeddingBag is exported."""
    body = helper.make_graph(
        [
            node("Gather", ["ends", "i"], ["start"]),
            node("Add", ["i", "one"], ["next"]),
            node("Gather", ["ends", "next"], ["end"]),
            node("Unsqueeze", ["start", "axis"], ["first"]),
            node("Unsqueeze", ["end", "axis"], ["last"]),
            node("Slice", ["x", "first", "last", "axis"], ["part"]),
            node("Gather", ["table", "part"], ["rows"]),
            node("ReduceSum", ["rows", "axis"], ["sum"], keepdims=0),
            node("Identity", ["going"], ["on"]),
        ],
        "bag",
        [value_info("i", np.array(0)), value_info("going", np.array(True))],
        [value_info("on", np.array(True)), value_info("sum", np.zeros(4, np.float32))],
    )
    nodes = [
        node("Shape", ["offsets"], ["bags"]),
        node("Squeeze", ["bags"], ["trips"]),
        node("Shape", ["x"], ["size"]),
        node("Concat", ["offsets", "size"], ["ends"], axis=0),
        node("Loop", ["trips", "true"], ["out"], body=body),
    ]
    weights: dict[str, Array] = {"axis": np.array([0]), "one": np.array(1), "true": np.array(True)}
    weights["table"] = sparse(20, 4, share=1)
    rng = np.random.default_rng(0)
    offsets = ([0, 2, 2, 5], [0], [0, 3, 8])
    feeds: list[Feeds] = [
        {"x": rng.integers(0, 20, n), "offsets": np.array(o)} for n, o in zip((6, 3, 9), offsets, strict=True)
    ]
    shapes: dict[str, Sizes] = {"x": ["n"], "offsets": ["bags"]}
    return model(nodes, feeds[0], ["out"], shapes=shapes, weights=weights), feeds


MODELS: Mapping[str, tuple[ModelProto, list[Feeds]]] = {
    "select-indices": _indices(),
    "select-read-back": _read_back(),
    "select-masked-twice": _masked_twice(),
    "select-masked": _masked(),
    "select-boxes-fed": _parameters(),
    "select-detector": _detector(),
    "select-unlike": _unlike(),
    "select-parts": _parts(),
    "select-bags": _bags(),
}
