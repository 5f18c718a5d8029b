"""convert's options for state: errors that name what disagrees; which copies lowering spares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto
from pyruntime_converter.frontends import read_model
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.options import Told
from pyruntime_converter.passes import optimise
from pyruntime_converter.state import StateOptions, attach
from pyruntime_converter.state_names import guess
from pyruntime_converter.targets.rewriting import rewritten

from pyruntime.errors import OptionError
from pyruntime.ir.kernel import Map, MatMul
from pyruntime.ir.program import Program
from pyruntime.ir.symbols import evaluate
from pyruntime.ops.interpret import run_program
from tests.frontends.onnx_models import model, random, same
from tests.passes.net import Net
from tests.state import streams
from tests.state.streams import STREAMS, Array, Stream, node, zeros


def lowered(proto: ModelProto, options: StateOptions) -> tuple[Program, list[str], list[str]]:
    """The program of a model with state, and the names of what is fed and given."""
    graph = read_model(proto.SerializeToString(), "m", Told(options.dims())).graph
    attach(graph, options)
    optimise(graph)
    kept = {s.input for s in graph.states}, {s.output for s in graph.states}
    inputs = [v.name for i, v in enumerate(graph.inputs) if i not in kept[0]]
    outputs = [n for i, n in enumerate(graph.output_names) if i not in kept[1]]
    return lower(graph), inputs, outputs


def options_of(stream: Stream) -> StateOptions:
    given = dict(stream.options)
    return StateOptions(
        stream.state, given.get("capacity", {}), given.get("state_init", {}), given.get("symbols", {})
    )


@pytest.mark.parametrize("make", STREAMS)
def test_lowered_steps(make: Callable[[], Stream]) -> None:
    """The program on NumPy, step by step, with its states in arrays of their largest shapes."""
    stream = make()
    program, inputs, outputs = lowered(stream.proto, options_of(stream))
    memory: dict[Any, Array] = {}
    for carried in program.states:
        first = zeros(*carried.shape).astype(carried.tensor.dtype.value)
        if carried.axis is None:
            first = np.array(stream.first[carried.tensor.name])
        memory[carried.tensor] = first.reshape(-1).copy()
    sizes: dict[str, int] = {str(c.length): 0 for c in program.states if c.axis is not None}
    steps = stream.steps(4)
    for feeds, (expected, _) in zip(steps, stream.reference(steps), strict=True):
        made = run_program(program, [feeds[n] for n in inputs], {**sizes, **stream.symbols(feeds)}, memory)
        same(dict(zip(outputs, made, strict=True)), expected)
        grown = {str(c.length): c.next for c in program.states if c.axis is not None}
        sizes = {name: evaluate(after, {**sizes, **stream.symbols(feeds)}) for name, after in grown.items()}


def kernels(program: Program) -> list[str]:
    return [call.name for call in program.calls]


def writes(program: Program, state: str) -> list[str]:
    """Kernels that write to a state."""
    return [
        c.name for c in program.calls if c.output.tensor.kind == "state" and c.output.tensor.name == state
    ]


def test_an_elementwise_update_is_in_place() -> None:
    stream = streams.running_sum()
    program, *_ = lowered(stream.proto, options_of(stream))
    assert kernels(program) == ["map t", "map y"]
    assert writes(program, "s") == ["map t"]
    assert program.commit == 0


def test_a_kernel_writes_to_the_state_when_its_old_value_is_done_with() -> None:
    stream = streams.cell()
    program, *_ = lowered(stream.proto, options_of(stream))
    assert not any(o.op == "State" for c in program.calls for o in c.origins)
    assert program.commit is not None
    assert all(c.output.tensor.kind != "state" for c in program.calls[: program.commit])


def test_old_values_are_kept_until_they_are_read() -> None:
    """An exchange takes copies; a state that does not change takes none."""
    stream = streams.exchange()
    program, *_ = lowered(stream.proto, options_of(stream))
    assert writes(program, "a")
    assert writes(program, "b")
    assert not writes(program, "c")
    stream = streams.window()
    program, *_ = lowered(stream.proto, options_of(stream))
    assert writes(program, "w") == ["map w"]
    assert kernels(program)[-1] == "map w"


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("computed", ["norm", "levels"])
def test_a_product_that_writes_to_a_state_computes_nothing_of_it(computed: str, in_place: bool) -> None:
    """On a GPU it would change while others still read it, unless it is copied to in the end."""
    first = random(6, 12, seed=1)
    net = Net({"s": first})
    if computed == "norm":
        after = net(
            "MatMul", net("LayerNormalization", "s", net.weight(12), net.weight(12)), net.weight(12, 12)
        )
    else:
        levels, scale, zero = net.many("DynamicQuantizeLinear", "s", outputs=3)
        weight = np.arange(-72, 72, dtype=np.int8).reshape(12, 12)
        sums = net("MatMulInteger", levels, weight, zero)
        after = net("Mul", net("Cast", sums, to=1), scale)
    outputs = [after, *([] if in_place else [net("Sub", "s", after)])]
    stream = Stream(computed, net.proto(*outputs), {"s": after}, {"s": first}, lambda _: {})
    program = rewritten(lowered(stream.proto, options_of(stream))[0])
    (product,) = (c for c in program.calls if isinstance(c, MatMul))
    assert (product.output.tensor.kind == "state") == in_place
    assert (product.left is None and product.prologue is None) == in_place
    reading = [c for c in program.calls if c.output.tensor in {v.tensor for v in c.reads()}]
    assert all(isinstance(c, Map) for c in reading)


@pytest.mark.parametrize("make", [streams.cache, streams.stacked])
def test_caches_are_appended_to(make: Callable[[], Stream]) -> None:
    """Only what is new is stored, behind the old elements; nothing is overwritten, nothing copied."""
    stream = make()
    program, *_ = lowered(stream.proto, options_of(stream))
    assert program.commit is None
    assert not any(o.op == "State" for c in program.calls for o in c.origins)
    stored = [c for c in program.calls if c.output.tensor.kind == "state"]
    parts = 4 if make is streams.cache else 2
    assert len(stored) == parts
    assert all(c.output.offset != 0 for c in stored)


def test_what_moves_is_copied() -> None:
    stream = streams.history()
    program, *_ = lowered(stream.proto, options_of(stream))
    assert kernels(program)[-1] == "map newest_first"
    assert program.commit == len(program.calls) - 1


def growing(after: tuple[int | str, ...], **options: Any) -> tuple[ModelProto, dict[str, Any]]:
    """A model whose state of [n, 3] becomes one of another shape."""
    nodes = [node("Concat", ["s", "x"], ["t"], axis=0), node("Concat", ["r", "u"], ["v"], axis=0)]
    feeds = {"s": zeros(1, 3), "x": zeros(2, 3), "r": zeros(1, 3), "u": zeros(1, 3)}
    shapes = {"s": ("n", 3), "r": after}
    return model(nodes, feeds, ["t", "v"], shapes=shapes), {"pairs": {"s": "t", "r": "v"}, **options}


X = {"x": zeros(2, 3)}


def simple(first: Array, made: Array | None = None, shape: tuple[int | str, ...] | None = None) -> ModelProto:
    """A model whose state s becomes t, of first's or made's shape and dtype."""
    after = first if made is None else made
    nodes = [
        node("Add", ["x", "x"], ["y"]),
        node("Identity", ["s"], ["t"]) if made is None else node("Identity", ["k"], ["t"]),
    ]
    shapes = None if shape is None else {"s": shape}
    return model(nodes, {**X, "s": first}, ["y", "t"], weights={"k": after}, shapes=shapes)


WRONG: Mapping[str, tuple[ModelProto, dict[str, Any], str]] = {
    "no such input": (
        simple(zeros(2)),
        {"pairs": {"S": "t"}},
        "state: the model has no input 'S'. Its inputs are x, s",
    ),
    "nearly such an input": (
        simple(zeros(2)),
        {"pairs": {"ss": "t"}},
        "state: the model has no input 'ss'; did you mean 's'? Its inputs are x, s",
    ),
    "no such output": (
        simple(zeros(2)),
        {"pairs": {"s": "s"}},
        "state: the model has no output 's'. Its outputs are y, t",
    ),
    "an output twice": (
        simple(zeros(2)),
        {"pairs": {"s": "t", "x": "t"}},
        "state: output 't' is the next value of two inputs",
    ),
    "another dtype": (
        simple(zeros(2), np.zeros(2, np.int32)),
        {"pairs": {"s": "t"}},
        "state 's' is float32, but its next value 't' is int32",
    ),
    "another rank": (
        simple(zeros(2), zeros(2, 1)),
        {"pairs": {"s": "t"}},
        "state 's' has shape [2], but its next value 't' has [2, 1]",
    ),
    "another size": (
        simple(zeros(2), zeros(3)),
        {"pairs": {"s": "t"}},
        "state 's' has shape [2], but its next value 't' has [3]; they may differ along one axis",
    ),
    "a symbol": (
        simple(zeros(2, 3), shape=("batch", 3)),
        {"pairs": {"s": "t"}},
        "state 's' has size batch along axis 0, which would change from run to run; fix it, as by symbols",
    ),
    "a symbol that is not there": (
        simple(zeros(2)),
        {"pairs": {"s": "t"}, "symbols": {"batch": 1}},
        "no input has the symbol 'batch' in its shape; the symbols are none",
    ),
    "a size that is none": (
        simple(zeros(2, 3), shape=("batch", 3)),
        {"pairs": {"s": "t"}, "symbols": {"batch": 0}},
        "symbols: 'batch' is 0; give a positive integer",
    ),
    "a size and a capacity": (
        simple(zeros(2, 3), shape=("batch", 3)),
        {"pairs": {"s": "t"}, "symbols": {"batch": 1}, "capacity": {"batch": 1}},
        "'batch' has a size and a capacity; give one of them",
    ),
    "a capacity of nothing": (
        simple(zeros(2, 3), shape=("batch", 3)),
        {"pairs": {"s": "t"}, "capacity": {"batch": 2}},
        "state 's' has size batch along axis 0",
    ),
    "growth without capacity": (
        *growing(("m", 3), capacity={"m": 4}),
        "state 's' grows along axis 0 from n to n + 2; say how far, as by capacity={'n': 1024}",
    ),
    "growth apart": (
        *growing(("n", 3), capacity={"n": 4}),
        "states 's' and 'r' both have size n along their growing axis, but grow to n + 2 and n + 1",
    ),
    "a capacity of no state": (
        model([node("Add", ["x", "x"], ["y"])], X, ["y"], shapes={"x": ("n", 3)}),
        {"capacity": {"n": 4}},
        "capacity: no state grows along the symbol 'n'",
    ),
    "an initial value of what grows": (
        *growing(("m", 3), capacity={"n": 4, "m": 4}, initial={"s": zeros(1, 3)}),
        "state_init: state 's' grows, and so begins empty",
    ),
    "an initial value of another shape": (
        simple(zeros(2)),
        {"pairs": {"s": "t"}, "initial": {"s": zeros(3)}},
        "state_init: 's' is float32 of shape [2], got float32 of shape [3]",
    ),
    "an initial value of no state": (
        simple(zeros(2)),
        {"pairs": {"s": "t"}, "initial": {"x": zeros(2, 3)}},
        "state_init: 'x' is not one of the states s",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_options_that_do_not_fit(case: str) -> None:
    proto, options, message = WRONG[case]
    with pytest.raises(OptionError) as caught:
        lowered(proto, StateOptions(**options))
    assert message in str(caught.value)
    assert caught.value.code == "option"


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (["input", "state", "sr"], ["output", "stateN"], {"state": "stateN"}),
        (
            ["input_ids", "past_key_values.0.key", "past_key_values.0.value"],
            ["logits", "present.0.key", "present.0.value"],
            {"past_key_values.0.key": "present.0.key", "past_key_values.0.value": "present.0.value"},
        ),
        (
            ["x", "past_0", "past_1"],
            ["y", "present_0", "present_1"],
            {"past_0": "present_0", "past_1": "present_1"},
        ),
        (["x", "h0", "c0"], ["y", "hn", "cn"], {"h0": "hn", "c0": "cn"}),
        (["x", "h_in"], ["y", "h_out"], {"h_in": "h_out"}),
        (["x", "h"], ["y", "h_next", "h_new"], {}),  # which of them is open
        (["x", "h", "hN"], ["y", "hNn"], {"hN": "hNn"}),
        (["x", "y0"], ["y", "x"], {}),
    ],
)
def test_states_by_their_names(inputs: list[str], outputs: list[str], expected: dict[str, str]) -> None:
    assert guess(inputs, outputs) == expected


def test_automatic_state() -> None:
    stream = streams.cache()
    options = options_of(stream)
    program, inputs, outputs = lowered(
        stream.proto, StateOptions("auto", options.capacity, symbols=options.symbols)
    )
    assert [c.tensor.name for c in program.states] == list(stream.state)
    assert (inputs, outputs) == (["ids"], ["logits"])
    for given in ("auto", "all"):
        with pytest.raises(OptionError, match="no input and output are a state by their names"):
            lowered(simple(zeros(2)), StateOptions(given))


def test_state_named_in_pack(stateful: dict[str, tuple[Stream, Path]]) -> None:
    """A pack with state requires readers that know of it."""
    text = (stateful["cell"][1] / "pack.json").read_text()
    assert '"requires": ["state"]' in text
