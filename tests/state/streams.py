"""Models that carry state from step to step, each with feeds for any number of steps, and their reference.

The reference is ONNX Runtime with the state fed back by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, helper

from tests.frontends.onnx_models import model, random

Array = NDArray[Any]
Feeds = dict[str, Array]
node = helper.make_node


@dataclass(frozen=True)
class Stream:
    """A model with state.

    Attributes:
        name: readable.
        proto: the model.
        state: an output for each input that it is the next value of.
        first: what the states are at first.
        feeds: what is fed beside the state in a step.
        options: further options of `convert`.
    """

    name: str
    proto: ModelProto
    state: Mapping[str, str]
    first: Mapping[str, Array]
    feeds: Callable[[np.random.Generator], Feeds]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def save(self, folder: Path) -> Path:
        """The model as a file."""
        path = folder / f"{self.name}.onnx"
        onnx.save(self.proto, path)
        return path

    def symbols(self, feeds: Feeds) -> dict[str, int]:
        """The values of symbols that what is fed gives: sizes, and elements of integers."""
        declared = {v.name: v.type.tensor_type.shape.dim for v in self.proto.graph.input}
        fixed = self.options.get("symbols", {})
        sizes = {
            dim.dim_param: size
            for name, array in feeds.items()
            for dim, size in zip(declared[name], array.shape, strict=True)
            if dim.dim_param and dim.dim_param not in fixed
        }
        integers = {n: a for n, a in feeds.items() if a.dtype.kind == "i"}
        return sizes | {f"{n}_{i}": int(v) for n, a in integers.items() for i, v in enumerate(a.flat)}

    def steps(self, count: int, seed: int = 0) -> list[Feeds]:
        """Feeds for so many steps."""
        generator = np.random.default_rng(seed)
        return [self.feeds(generator) for _ in range(count)]

    def reference(self, steps: Sequence[Feeds]) -> Iterator[tuple[Feeds, Feeds]]:
        """After each step: the other outputs, and the states by the names of their inputs."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            self.proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        names = [o.name for o in session.get_outputs()]
        kept = dict(self.first)
        for feeds in steps:
            made = dict(zip(names, session.run(names, {**feeds, **kept}), strict=True))
            kept = {name: made[output] for name, output in self.state.items()}
            yield {n: a for n, a in made.items() if n not in self.state.values()}, kept


def zeros(*shape: int) -> Array:
    """Float32 zeros."""
    return np.zeros(shape, np.float32)


def uniform(name: str, *shape: int) -> Callable[[np.random.Generator], Feeds]:
    """One float32 input, uniform in -1..1."""
    return lambda generator: {name: generator.uniform(-1, 1, shape).astype(np.float32)}


def running_sum() -> Stream:
    """t = s + x is the next s; the batch is fixed when converting."""
    nodes = [node("Add", ["x", "s"], ["t"]), node("Mul", ["t", "t"], ["y"])]
    proto = model(
        nodes,
        {"x": zeros(3, 5), "s": zeros(3, 5)},
        ["y", "t"],
        shapes={"x": ["batch", 5], "s": ["batch", 5]},
    )
    return Stream(
        "running_sum",
        proto,
        {"s": "t"},
        {"s": zeros(3, 5)},
        uniform("x", 3, 5),
        {"symbols": {"batch": 3}},
    )


def cell() -> Stream:
    """An LSTM cell spelled out, with seven units and any number of rows fixed to one."""
    units, width = 7, 5
    gates = ["i", "f", "g", "o"]
    nodes = [
        node("MatMul", ["x", "w"], ["xw"]),
        node("MatMul", ["h", "r"], ["hr"]),
        node("Add", ["xw", "hr"], ["sum"]),
        node("Add", ["sum", "b"], ["all"]),
        node("Split", ["all"], [f"{g}_in" for g in gates], axis=1),
        *(node("Tanh" if g == "g" else "Sigmoid", [f"{g}_in"], [g]) for g in gates),
        node("Mul", ["f", "c"], ["kept"]),
        node("Mul", ["i", "g"], ["new"]),
        node("Add", ["kept", "new"], ["c_next"]),
        node("Tanh", ["c_next"], ["squashed"]),
        node("Mul", ["o", "squashed"], ["h_next"]),
        node("MatMul", ["h_next", "v"], ["y"]),
    ]
    weights = {
        "w": random(width, 4 * units, seed=1),
        "r": random(units, 4 * units, seed=2),
        "b": random(4 * units, seed=3),
        "v": random(units, 2, seed=4),
    }
    first = {"h": random(1, units, seed=5), "c": zeros(1, units)}
    proto = model(nodes, {"x": zeros(1, width), **first}, ["y", "c_next", "h_next"], weights=weights)
    state = {"h": "h_next", "c": "c_next"}
    return Stream(
        "cell",
        proto,
        state,
        first,
        uniform("x", 1, width),
        {"state_init": {"h": first["h"], "c": first["c"]}},
    )


def exchange() -> Stream:
    """a' = b and b' = a + x: neither may be overwritten before both are read. c never changes."""
    nodes = [
        node("Add", ["a", "x"], ["b_next"]),
        node("Identity", ["b"], ["a_next"]),
        node("Identity", ["c"], ["c_next"]),
        node("Sub", ["a", "b"], ["difference"]),
        node("Add", ["difference", "c"], ["y"]),
    ]
    first = {"a": zeros(2, 3), "b": random(2, 3, seed=6), "c": random(1, 3, seed=7)}
    proto = model(nodes, {"x": zeros(2, 3), **first}, ["y", "a_next", "b_next", "c_next"])
    state = {"a": "a_next", "b": "b_next", "c": "c_next"}
    return Stream("exchange", proto, state, first, uniform("x", 2, 3), {"state_init": first})


def window() -> Stream:
    """The last eleven samples, three new ones a step; what the model gives is a state's next value too."""
    nodes = [
        node("Slice", ["w", "begin", "end", "axis"], ["old"]),
        node("Concat", ["old", "x"], ["w_next"], axis=1),
        node("Transpose", ["w_next"], ["turned"], perm=[1, 0]),
        node("ReduceMean", ["turned"], ["y"], axes=[0], keepdims=0),
        node("Relu", ["m_next"], ["z"]),
        node("Max", ["m", "y"], ["m_next"]),
    ]
    ints = {n: np.array([v], np.int64) for n, v in (("begin", 3), ("end", 11), ("axis", 1))}
    first = {"w": zeros(2, 11), "m": zeros(2)}
    proto = model(nodes, {"x": zeros(2, 3), **first}, ["y", "z", "w_next", "m_next"], weights=ints)
    return Stream("window", proto, {"w": "w_next", "m": "m_next"}, first, uniform("x", 2, 3))


def dtypes() -> Stream:
    """States of other dtypes; two without axes, one of no elements."""
    nodes = [
        node("Add", ["count", "one"], ["count_next"]),
        node("Max", ["last", "seen"], ["last_next"]),
        node("Or", ["flag", "mark"], ["flag_next"]),
        node("Sub", ["half", "x"], ["half_next"]),
        node("Identity", ["none"], ["none_next"]),
        node("Cast", ["count_next"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    first: Feeds = {
        "count": np.array(40, np.int32),
        "last": np.array(40, np.int64),
        "flag": np.zeros(3, bool),
        "half": np.ones(3, np.float16),
        "none": zeros(0, 2),
    }

    def feeds(generator: np.random.Generator) -> Feeds:
        mark = generator.integers(0, 6, 3) == 0
        seen = np.array(generator.integers(0, 100), np.int64)
        return {"mark": mark, "seen": seen, "x": generator.uniform(0.5, 1.5, 3).astype(np.float16)}

    fed = {"mark": np.zeros(3, bool), "seen": np.array(0, np.int64), "x": np.zeros(3, np.float16)}
    weights = {"one": np.array(1, np.int32)}
    state = {name: f"{name}_next" for name in first}
    proto = model(nodes, {**fed, **first}, ["y", *state.values()], weights=weights)
    return Stream("dtypes", proto, state, first, feeds, {"state_init": first})


def layers() -> Stream:
    """LSTM and GRU layers over two samples a step, whose last states are the next first ones."""
    units, width = 6, 5
    nodes = [
        node("LSTM", ["x", "w", "r", "b", "", "h", "c"], ["all", "h_next", "c_next"], hidden_size=units),
        node("Squeeze", ["all", "at_1"], ["inner"]),
        node("GRU", ["inner", "w_2", "r_2", "b_2", "", "g"], ["y", "g_next"], hidden_size=units),
    ]
    weights = {
        "w": random(1, 4 * units, width, seed=30),
        "r": random(1, 4 * units, units, seed=31, low=-0.5, high=0.5),
        "b": random(1, 8 * units, seed=32),
        "w_2": random(1, 3 * units, units, seed=33),
        "r_2": random(1, 3 * units, units, seed=34, low=-0.5, high=0.5),
        "b_2": random(1, 6 * units, seed=35),
        "at_1": np.array([1], np.int64),
    }
    first = {"h": zeros(1, 1, units), "c": zeros(1, 1, units), "g": random(1, 1, units, seed=36)}
    state = {name: f"{name}_next" for name in first}
    proto = model(nodes, {"x": zeros(2, 1, width), **first}, ["y", *state.values()], weights=weights)
    feeds = uniform("x", 2, 1, width)
    return Stream("layers", proto, state, first, feeds, {"state_init": {"g": first["g"]}})


def loop() -> Stream:
    """s moves towards x as often as a fed number says: jumps, after which states are copied."""
    body = helper.make_graph(
        [
            node("Add", ["before", "x"], ["total"]),
            node("Mul", ["total", "half"], ["after"]),
            node("Identity", ["going"], ["goes_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("going", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", onnx.TensorProto.FLOAT, [2, 3]),
        ],
        [
            helper.make_tensor_value_info("goes_on", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", onnx.TensorProto.FLOAT, [2, 3]),
        ],
    )
    nodes = [
        node("Loop", ["times", "", "s"], ["s_next"], body=body),
        node("Sub", ["s_next", "s"], ["y"]),
    ]
    fed = {"x": zeros(2, 3), "times": np.array(1, np.int64)}
    weights = {"half": np.array(0.5, np.float32)}
    proto = model(nodes, {**fed, "s": zeros(2, 3)}, ["y", "s_next"], weights=weights)

    def feeds(generator: np.random.Generator) -> Feeds:
        times = np.array(generator.integers(0, 4), np.int64)
        return {**uniform("x", 2, 3)(generator), "times": times}

    return Stream("loop", proto, {"s": "s_next"}, {"s": zeros(2, 3)}, feeds)


HEADS, WIDTH, VOCABULARY = 2, 3, 11
_CONSTANTS: Feeds = {
    "zero": np.array(0, np.int64),
    "one": np.array(1, np.int64),
    "two": np.array(2, np.int64),
    "at_0": np.array([0], np.int64),
    "at_1": np.array([1], np.int64),
    "split": np.array([0, 0, HEADS, WIDTH], np.int64),
    "join": np.array([0, 0, HEADS * WIDTH], np.int64),
    "scale": np.array(WIDTH**-0.5, np.float32),
    "open": np.array(0, np.float32),
    "closed": np.array(-1e9, np.float32),
}


def _mask(past: str, present: str) -> list[onnx.NodeProto]:
    """`mask`: which of all positions each new one may see, as exporters compute it from shapes."""
    return [
        node("Shape", [past], ["past_shape"]),
        node("Shape", [present], ["present_shape"]),
        node("Gather", ["past_shape", "two"], ["begin"]),
        node("Gather", ["present_shape", "two"], ["end"]),
        node("Range", ["zero", "end", "one"], ["keys"]),
        node("Range", ["begin", "end", "one"], ["queries"]),
        node("Unsqueeze", ["queries", "at_1"], ["queries_column"]),
        node("LessOrEqual", ["keys", "queries_column"], ["allowed"]),
        node("Where", ["allowed", "open", "closed"], ["mask"]),
    ]


def _attention(x: str, layer: int, past: dict[str, str], present: dict[str, str]) -> list[onnx.NodeProto]:
    """Self-attention of a layer, whose keys and values follow those of the past; gives `x{layer + 1}`."""
    nodes = []
    for part in "qkv":
        name = f"{part}{layer}"
        new = name if part == "q" else f"{name}_new"
        nodes += [
            node("MatMul", [x, f"w_{name}"], [f"{name}_flat"]),
            node("Reshape", [f"{name}_flat", "split"], [f"{name}_split"]),
            node("Transpose", [f"{name}_split"], [new], perm=[0, 2, 1, 3]),
        ]
        if part != "q":
            nodes.append(node("Concat", [past[part], new], [present[part]], axis=2))
    if layer == 0:
        nodes += _mask(past["k"], present["k"])
    return [
        *nodes,
        node("Transpose", [present["k"]], [f"k{layer}_turned"], perm=[0, 1, 3, 2]),
        node("MatMul", [f"q{layer}", f"k{layer}_turned"], [f"raw{layer}"]),
        node("Mul", [f"raw{layer}", "scale"], [f"scaled{layer}"]),
        node("Add", [f"scaled{layer}", "mask"], [f"masked{layer}"]),
        node("Softmax", [f"masked{layer}"], [f"weights{layer}"], axis=-1),
        node("MatMul", [f"weights{layer}", present["v"]], [f"mixed{layer}"]),
        node("Transpose", [f"mixed{layer}"], [f"mixed{layer}_turned"], perm=[0, 2, 1, 3]),
        node("Reshape", [f"mixed{layer}_turned", "join"], [f"mixed{layer}_flat"]),
        node("Add", [x, f"mixed{layer}_flat"], [f"x{layer + 1}"]),
    ]


def _decoder_weights(layers: int) -> dict[str, Array]:
    size = HEADS * WIDTH
    weights = {"embedding": random(VOCABULARY, size, seed=8), "w_out": random(size, VOCABULARY, seed=9)}
    for layer in range(layers):
        for i, part in enumerate("qkv"):
            weights[f"w_{part}{layer}"] = random(size, size, seed=10 + 3 * layer + i, low=-0.5, high=0.5)
    return weights | _CONSTANTS


def _tokens(generator: np.random.Generator, batch: int = 1) -> Feeds:
    return {"ids": generator.integers(0, VOCABULARY, (batch, int(generator.integers(1, 4))))}


def cache() -> Stream:
    """Two layers of a decoder, with names and shapes as exporters give them; one to three tokens a step."""
    state: dict[str, str] = {}
    first: Feeds = {}
    shapes: dict[str, Sequence[int | str | None]] = {}
    nodes = [node("Gather", ["embedding", "ids"], ["x0"])]
    for layer in range(2):
        past = {p: f"past_key_values.{layer}.{n}" for p, n in (("k", "key"), ("v", "value"))}
        present = {p: f"present.{layer}.{n}" for p, n in (("k", "key"), ("v", "value"))}
        nodes += _attention(f"x{layer}", layer, past, present)
        for part, name in past.items():
            state[name], first[name] = present[part], zeros(1, HEADS, 0, WIDTH)
            shapes[name] = ["batch", HEADS, "past_sequence_length", WIDTH]
    nodes.append(node("MatMul", ["x2", "w_out"], ["logits"]))
    proto = model(
        nodes,
        {"ids": np.zeros((1, 1), np.int64), **first},
        ["logits", *state.values()],
        weights=_decoder_weights(2),
        shapes={"ids": ["batch", "sequence"], **shapes},
    )
    options: dict[str, Any] = {"symbols": {"batch": 1}, "capacity": {"past_sequence_length": 23}}
    return Stream("cache", proto, state, first, _tokens, options)


def stacked() -> Stream:
    """Keys and values in one tensor; the cache of two sequences is cut apart and put together each step."""
    nodes = [
        node("Gather", ["embedding", "ids"], ["x0"]),
        node("Gather", ["past", "zero"], ["k_past"], axis=0),
        node("Gather", ["past", "one"], ["v_past"], axis=0),
        *_attention("x0", 0, {"k": "k_past", "v": "v_past"}, {"k": "k_all", "v": "v_all"}),
        node("Unsqueeze", ["k_all", "at_0"], ["k_one"]),
        node("Unsqueeze", ["v_all", "at_0"], ["v_one"]),
        node("Concat", ["k_one", "v_one"], ["present"], axis=0),
        node("MatMul", ["x1", "w_out"], ["logits"]),
    ]
    first = {"past": zeros(2, 2, HEADS, 0, WIDTH)}
    proto = model(
        nodes,
        {"ids": np.zeros((2, 1), np.int64), **first},
        ["logits", "present"],
        weights=_decoder_weights(1),
        shapes={"ids": [2, "seq"], "past": [2, 2, HEADS, "past", WIDTH]},
    )
    return Stream(
        "stacked", proto, {"past": "present"}, first, lambda g: _tokens(g, 2), {"capacity": {"past": 17}}
    )


def history() -> Stream:
    """What was fed so far, once with the newest last and once with the newest first, which takes copies."""
    nodes = [
        node("Concat", ["x", "newest_first"], ["newest_first_next"], axis=1),
        node("Transpose", ["oldest_first"], ["turned"], perm=[1, 0]),
        node("Transpose", ["x"], ["x_turned"], perm=[1, 0]),
        node("Concat", ["turned", "x_turned"], ["all_turned"], axis=0),
        node("Transpose", ["all_turned"], ["oldest_first_next"], perm=[1, 0]),
        node("ReduceMax", ["oldest_first_next"], ["y"], axes=[1], keepdims=0),
        node("ReduceMin", ["newest_first_next"], ["z"], axes=[1], keepdims=0),
        node("Shape", ["oldest_first"], ["seen"]),
    ]
    first = {"newest_first": zeros(3, 0), "oldest_first": zeros(3, 0)}
    state = {name: f"{name}_next" for name in first}
    proto = model(
        nodes,
        {"x": zeros(3, 2), **first},
        ["y", "z", "seen", *state.values()],
        shapes={"x": [3, "n"], "newest_first": [3, "past"], "oldest_first": [3, "past"]},
    )

    def feeds(generator: np.random.Generator) -> Feeds:
        return uniform("x", 3, int(generator.integers(1, 4)))(generator)

    return Stream("history", proto, state, first, feeds, {"capacity": {"past": 19}})


FIXED = (running_sum, cell, exchange, window, dtypes, layers, loop)
GROWING = (cache, stacked, history)
STREAMS = (*FIXED, *GROWING)
