"""Models of 64-bit integers past 32 bits, which a GPU computes as pairs of words, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from tests.frontends.onnx_models import Array, model, random, runtime

node = helper.make_node
Feeds = Mapping[str, Array]
Case = tuple[ModelProto, Sequence[tuple[Feeds, Feeds]]]

EXTREMES = (0, 1, 2, 3, 7, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**62 + 5, 2**63 - 1)


def integers(*shape: int, seed: int = 0, dtype: Any = np.int64) -> Array:
    """Integers of all lengths and signs, extremes among them where there is room."""
    rng, limits = np.random.default_rng(seed), np.iinfo(dtype)
    values = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    values >>= rng.integers(0, 63, shape).astype(dtype)
    flat, signed = values.reshape(-1), (*EXTREMES, *(-v for v in EXTREMES), -(2**63))
    known = np.array(signed if limits.min < 0 else (*EXTREMES, 2**64 - 1), dtype)
    count = min(len(flat) // 2, len(known))
    flat[rng.permutation(len(flat))[:count]] = rng.permutation(known)[:count]
    return values


def _truncated(a: Array, b: Array) -> Array:
    """The quotient as ONNX rounds it; 0 for a division by zero, which ONNX leaves open."""
    quotient = np.floor_divide(a, b)
    inexact = (quotient * b != a) & ((a < 0) != (b < 0)) & (b != 0)
    return np.asarray(quotient + inexact.astype(a.dtype))


def _arithmetic(dtype: Any) -> Case:
    a, b = integers(9, 31, seed=1, dtype=dtype), integers(9, 31, seed=2, dtype=dtype)
    one = np.array(1, dtype)
    functions: dict[str, tuple[str, dict[str, Any], Callable[[Array, Array], Any]]] = {
        "sum": ("Add", {}, np.add),
        "difference": ("Sub", {}, np.subtract),
        "product": ("Mul", {}, np.multiply),
        "quotient": ("Div", {}, _truncated),
        "modulo": ("Mod", {}, np.mod),
        "rest": ("Mod", {"fmod": 1}, np.fmod),
        "least": ("Min", {}, np.minimum),
        "most": ("Max", {}, np.maximum),
        "equal": ("Equal", {}, np.equal),
        "less": ("Less", {}, np.less),
        "at_least": ("GreaterOrEqual", {}, np.greater_equal),
        "both": ("BitwiseAnd", {}, np.bitwise_and),
        "either": ("BitwiseOr", {}, np.bitwise_or),
        "one_of": ("BitwiseXor", {}, np.bitwise_xor),
    }
    nodes = [node(op, ["a", "b"], [name], **attrs) for name, (op, attrs, _) in functions.items()]
    nodes += [node("BitwiseNot", ["a"], ["not"]), node("Sign", ["a"], ["sign"]), node("Abs", ["a"], ["abs"])]
    nodes += [node("Where", ["less", "a", "both"], ["chosen"])]
    outputs = [*functions, "not", "sign", "abs", "chosen"]

    def expected(a: Array, b: Array) -> Feeds:
        made = {name: np.asarray(function(a, b)) for name, (_, _, function) in functions.items()}
        made |= {"not": ~a, "sign": np.sign(a), "abs": np.abs(a), "chosen": np.where(a < b, a, a & b)}
        if dtype is np.uint64:
            made |= {"up": a << (b % 70), "down": a >> (b % 70)}
        else:
            made |= {"negative": -a}
        return made

    if dtype is np.uint64:
        nodes += [node("Mod", ["b", "seventy"], ["amount"])]
        nodes += [node("BitShift", ["a", "amount"], ["up"], direction="LEFT")]
        nodes += [node("BitShift", ["a", "amount"], ["down"], direction="RIGHT")]
        outputs += ["up", "down"]
    else:
        nodes += [node("Neg", ["a"], ["negative"])]
        outputs += ["negative"]
    weights = {"seventy": np.array(70, dtype)}
    shapes = {"a": ["n", "m"], "b": ["n", "m"]}
    pairs = [(a, b), (a[:1, :1], b[:1, :1]), (np.full((1, 2), 2**63 - 1, dtype), np.stack([[one, -one]]))]
    with np.errstate(all="ignore"):
        every = [({"a": x, "b": y.astype(dtype)}, expected(x, y.astype(dtype))) for x, y in pairs]
    return model(nodes, every[0][0], outputs, opset=18, weights=weights, shapes=shapes), every


def signed() -> Case:
    """Each function of int64."""
    return _arithmetic(np.int64)


def unsigned() -> Case:
    """Each function of uint64."""
    return _arithmetic(np.uint64)


def casts() -> Case:
    """From 64 bits to all types and back; floats saturate."""
    to = {
        "int8": TensorProto.INT8,
        "uint16": TensorProto.UINT16,
        "int32": TensorProto.INT32,
        "uint32": TensorProto.UINT32,
        "uint64": TensorProto.UINT64,
        "float32": TensorProto.FLOAT,
        "bool": TensorProto.BOOL,
    }
    nodes = [node("Cast", ["a"], [f"a_{name}"], to=code) for name, code in to.items()]
    nodes += [
        node("Cast", [f"a_{name}"], [f"back_{name}"], to=TensorProto.INT64)
        for name in to
        if name != "float32"
    ]
    nodes += [node("Cast", ["x"], ["whole"], to=TensorProto.INT64)]
    a, x = (
        integers(5, 41, seed=3),
        np.concatenate([random(40, seed=4) * 1e18, [0.0, -0.5, 1e30, -1e30]]).astype(np.float32),
    )
    expected: dict[str, Array] = {}
    with np.errstate(all="ignore"):
        for name in to:
            expected[f"a_{name}"] = a.astype(name)
            if name != "float32":
                expected[f"back_{name}"] = a.astype(name).astype(np.int64)
        expected["whole"] = np.array([min(max(int(v), -(2**63)), 2**63 - 1) for v in x.tolist()])
    feeds = {"a": a, "x": x}
    return model(nodes, feeds, list(expected), opset=18), [(feeds, expected)]


def moved() -> Case:
    """What only moves elements, of constants, too, and by computed indices."""
    nodes = [
        node("Transpose", ["a"], ["turned"], perm=[1, 0]),
        node("Slice", ["a", "starts", "ends", "axes", "steps"], ["slices"]),
        node("Concat", ["a", "constant"], ["joined"], axis=0),
        node("Pad", ["a", "pads", "fill"], ["padded"]),
        node("Expand", ["row", "shape"], ["expanded"]),
        node("Gather", ["a", "i"], ["rows"], axis=1),
        node("Sub", ["i", "far"], ["below"]),
        node("Add", ["below", "far"], ["again"]),
        node("GatherElements", ["a", "again"], ["chosen"], axis=1),
        node("Where", ["odd", "a", "zero"], ["kept"]),
        node("Reshape", ["turned", "flat"], ["line"]),
    ]
    a, i = integers(6, 7, seed=5), np.array([[0, -1, 3]] * 6)
    constant = np.array([[2**40 + n for n in range(7)]])
    weights = {
        "starts": np.array([5, 1]),
        "ends": np.array([-7, 7]),
        "axes": np.array([0, 1]),
        "steps": np.array([-2, 3]),
        "constant": constant,
        "pads": np.array([1, 0, 0, 2]),
        "fill": np.array(-(2**35)),
        "row": constant,
        "shape": np.array([3, 7]),
        "far": np.array(2**50),
        "zero": np.array(0),
        "flat": np.array([-1]),
        "odd": np.arange(42).reshape(6, 7) % 2 == 1,
    }
    expected = {
        "turned": a.T,
        "slices": a[5::-2, 1:7:3],
        "joined": np.concatenate([a, constant]),
        "padded": np.pad(a, [(1, 0), (0, 2)], constant_values=-(2**35)),
        "expanded": np.broadcast_to(constant, (3, 7)),
        "rows": a[:, i],
        "chosen": np.take_along_axis(a, i, 1),
        "kept": np.where(weights["odd"], a, 0),
        "line": a.T.reshape(-1),
    }
    feeds = {"a": a, "i": i}
    return model(nodes, feeds, list(expected), opset=18, weights=weights), [(feeds, expected)]


def reduced() -> Case:
    """Sums, products and extremes along either axis and of all; running sums; products of matrices."""
    names: dict[str, Callable[..., Any]] = {"Sum": np.sum, "Prod": np.prod, "Min": np.min, "Max": np.max}
    nodes = []
    for name in names:
        nodes += [node(f"Reduce{name}", ["a", "first"], [f"{name}_0"], keepdims=0)]
        nodes += [node(f"Reduce{name}", ["a", "second"], [f"{name}_1"], keepdims=1)]
        nodes += [node(f"Reduce{name}", ["a"], [f"{name}_all"], keepdims=0)]
    nodes += [
        node("CumSum", ["a", "one"], ["sums"]),
        node("CumSum", ["a", "zero"], ["later"], exclusive=1, reverse=1),
    ]
    nodes += [
        node("ArgMax", ["a"], ["largest"], axis=1),
        node("ArgMin", ["a"], ["smallest"], axis=0, keepdims=0),
    ]
    nodes += [node("MatMul", ["a", "b"], ["product"])]
    weights = {"first": np.array([0]), "second": np.array([1]), "one": np.array(1), "zero": np.array(0)}

    def expected(a: Array, b: Array) -> Feeds:
        made = {}
        for name, function in names.items():
            made[f"{name}_0"] = function(a, axis=0)
            made[f"{name}_1"] = function(a, axis=1, keepdims=True)
            made[f"{name}_all"] = np.asarray(function(a))
        later = np.cumsum(a[::-1], axis=0)[::-1] - a
        made |= {"sums": np.cumsum(a, axis=1), "later": later, "product": a @ b}
        return made | {"largest": np.argmax(a, 1)[:, None], "smallest": np.argmin(a, 0)}

    every = []
    for n, m in ((5, 700), (70, 3), (1, 1)):
        feeds = {"a": integers(n, m, seed=n), "b": integers(m, 3, seed=m)}
        every.append((feeds, expected(**feeds)))
    shapes: dict[str, Sequence[int | str | None]] = {"a": ["n", "m"], "b": ["m", 3]}
    return model(nodes, every[0][0], list(every[0][1]), opset=18, weights=weights, shapes=shapes), every


def nothing() -> Case:
    """Empty tensors and scalars."""
    nodes = [
        node("Add", ["a", "s"], ["more"]),
        node("ReduceSum", ["a"], ["sum"], keepdims=0),
        node("ReduceProd", ["a"], ["product"], keepdims=0),
        node("Mul", ["s", "s"], ["square"]),
    ]
    s, every = np.array(2**40 + 1), []
    for n in (0, 1, 4):
        a = integers(n, 3, seed=n)
        wanted = {"more": a + s, "sum": np.sum(a), "product": np.prod(a), "square": s * s}
        every.append(({"a": a, "s": s}, {k: np.asarray(v, np.int64) for k, v in wanted.items()}))
    return model(nodes, every[1][0], list(every[0][1]), opset=18, shapes={"a": ["n", 3]}), every


def ordered() -> Case:
    """Sorted, and scattered where indices meet."""
    nodes = [
        node("TopK", ["a", "k"], ["values", "places"], axis=1),
        node("TopK", ["a", "k"], ["lowest", "where"], axis=1, largest=0),
        node("ScatterElements", ["a", "i", "u"], ["set"], axis=1),
        node("ScatterElements", ["a", "i", "u"], ["added"], axis=1, reduction="add"),
        node("ScatterElements", ["a", "i", "u"], ["highest"], axis=1, reduction="max"),
        node("Unique", ["i"], ["kinds"]),
    ]
    a, u = integers(4, 37, seed=8), integers(4, 5, seed=9)
    i = np.array([[0, 36, -1, 7, 7]] * 4)
    down, up = (
        np.argsort(-a.astype(object), axis=1, kind="stable")[:, :9],
        np.argsort(a, 1, kind="stable")[:, :9],
    )
    made = {name: a.copy() for name in ("set", "added", "highest")}
    for r in range(4):
        for n, c in enumerate(i[r]):
            made["set"][r, c] = u[r, n]
            made["added"][r, c] += u[r, n]
            made["highest"][r, c] = max(made["highest"][r, c], u[r, n])
    wanted = {"values": np.take_along_axis(a, down, 1), "places": down, "kinds": np.unique(i), **made}
    wanted |= {"lowest": np.take_along_axis(a, up, 1), "where": up}
    feeds = {"a": a, "i": i, "u": u}
    return model(nodes, feeds, list(wanted), opset=18, weights={"k": np.array([9])}), [(feeds, wanted)]


def looped() -> Case:
    """A loop that a comparison of pairs ends, with one that it carries: Collatz steps, by their number."""
    info, int64 = helper.make_tensor_value_info, TensorProto.INT64
    body = helper.make_graph(
        [
            node("BitwiseAnd", ["n_in", "one"], ["odd"]),
            node("Cast", ["odd"], ["is_odd"], to=TensorProto.BOOL),
            node("Mul", ["n_in", "three"], ["triple"]),
            node("Add", ["triple", "one"], ["up"]),
            node("Div", ["n_in", "two"], ["down"]),
            node("Where", ["is_odd", "up", "down"], ["n_out"]),
            node("Add", ["count_in", "one"], ["count_out"]),
            node("Greater", ["n_out", "one"], ["go_out"]),
        ],
        "body",
        [
            info("number", int64, []),
            info("go_in", TensorProto.BOOL, []),
            info("n_in", int64, []),
            info("count_in", int64, []),
        ],
        [info("go_out", TensorProto.BOOL, []), info("n_out", int64, []), info("count_out", int64, [])],
    )
    nodes: list[NodeProto] = [node("Loop", ["", "go", "n", "zero"], ["last", "count"], body=body)]
    weights = {name: np.array(v) for name, v in (("zero", 0), ("one", 1), ("two", 2), ("three", 3))}

    def steps(n: int) -> Iterator[int]:
        while n > 1:
            n = 3 * n + 1 if n % 2 else n // 2
            yield n

    every = [
        ({"n": np.array(n)}, {"last": np.array(1), "count": np.array(len([*steps(n)]))})
        for n in (2**33 + 7, 27)
    ]
    weights["go"] = np.array(True)
    return model(nodes, every[0][0], ["last", "count"], opset=18, weights=weights), every


def wide_integers() -> Case:
    """Integers past 32 bits, fed, added and multiplied, which then scale floats."""
    nodes = [
        node("Add", ["i", "i"], ["j"]),
        node("Mul", ["j", "big"], ["k"]),
        node("Mod", ["k", "seven"], ["m"]),
        node("Cast", ["m"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["x", "f"], ["p"]),
        node("MatMul", ["p", "w"], ["y"]),
    ]
    weights = {"big": np.array(2**33 + 1), "seven": np.array(7), "w": random(4, 4, seed=3)}
    every: list[Feeds] = [
        {"i": np.array([1, -(2**40), 2**28, 5]), "x": random(2, 4, seed=4)},
        {"i": np.array([2**45 + 3, 0, -1, 2**31]), "x": random(2, 4, seed=5)},
    ]
    proto = model(nodes, every[0], ["y", "k"], opset=18, weights=weights)
    return proto, [(f, runtime(proto, f)) for f in every]


def shared_input() -> Case:
    """An int64 input that indexes rows, and is raised to a power."""
    nodes = [
        node("Gather", ["w", "i"], ["rows"]),
        node("Mul", ["i", "i"], ["square"]),
        node("Mul", ["square", "square"], ["fourth"]),
        node("Relu", ["rows"], ["y"]),
    ]
    every: list[Feeds] = [{"i": np.array(v)} for v in ([0, 3, 2], [8, 8], [-9])]
    weights = {"w": random(9, 3, seed=6)}
    proto = model(nodes, every[0], ["y", "fourth"], opset=18, weights=weights, shapes={"i": ["n"]})
    return proto, [(f, runtime(proto, f)) for f in every]


MODELS: dict[str, Callable[[], Case]] = {
    m.__name__: m
    for m in (signed, unsigned, casts, moved, reduced, nothing, ordered, looped, wide_integers, shared_input)
}
