"""Branches and loops whose bodies read what is around them."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, NodeProto, ValueInfoProto, helper

from tests.fuzz.known import Known
from tests.fuzz.maker import Maker

WEIGHTS = {"branches": 1.0, "loop": 0.8, "scan": 0.4}
_node = helper.make_node


def _chain(make: Maker, start: Known, others: list[Known]) -> tuple[list[NodeProto], str]:
    """Nodes that keep the shape; tanh keeps values small."""
    if make.chance(0.5):
        return _drawn(make, start, others)
    nodes: list[NodeProto] = []
    last = start.name
    for _ in range(make.pick.randint(1, 3)):
        out = make.name("b")
        if others and make.chance(0.5):
            other = make.pick.choice(others).name
            nodes.append(_node(make.choice(("Add", "Mul", "Sub", "Max")), [last, other], [out]))
        else:
            nodes.append(_node(make.choice(("Tanh", "Neg", "Relu", "Abs", "Sigmoid")), [last], [out]))
        last = out
    out = make.name("b")
    nodes.append(_node("Tanh", [last], [out]))
    return nodes, out


def _drawn(make: Maker, start: Known, others: list[Known]) -> tuple[list[NodeProto], str]:
    """Any nodes, branches and loops among them; what has another shape than the start becomes its mean."""
    inner = make.within([*others, start])
    for _ in range(make.pick.randint(1, 4)):
        inner.draw()
    last = next((v for v in reversed(inner.values) if v.dtype == start.dtype), start)
    if last.dims != start.dims:
        last = inner.apply("Add", start, inner.apply("ReduceMean", last, keepdims=0))
    return inner.nodes, inner.apply("Tanh", last).name


def _alike(make: Maker, x: Known) -> list[Known]:
    return [v for v in make.values if v.dtype == x.dtype and v.dims == x.dims]


def _body(nodes: list[NodeProto], inputs: list[ValueInfoProto], outputs: list[str]) -> GraphProto:
    return helper.make_graph(nodes, "body", inputs, [helper.make_empty_tensor_value_info(o) for o in outputs])


def _info(name: str, array: np.ndarray, shape: list[int] | None = None) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), shape)


def branches(make: Maker) -> None:
    """By a bool that is fed or that data give."""
    x = make.one()
    others = _alike(make, x)
    if make.chance(0.5):
        flags = tuple(np.array(make.chance(0.5)) for _ in range(make.runs))
        condition = make.fed(Known(make.name("c"), flags))
    else:
        total = make.apply("ReduceSum", x, keepdims=0)
        condition = make.apply("Greater", total, make.constant(0.37, x.dtype))
    made = [_chain(make, x, others) for _ in range(2)]
    then, otherwise = (_body(nodes, [], [out]) for nodes, out in made)
    make.emit("If", [condition], then_branch=then, else_branch=otherwise)


def loop(make: Maker) -> None:
    """As often as is known, fed, or until data end it; carries one or two values, and stacks another."""
    x = make.one(rank=(0, 3))
    others = _alike(make, x)
    names = [make.name("a") for _ in range(make.pick.randint(1, 2))]
    carried = [Known(n, x.arrays) for n in names]
    made = [_chain(make, v, [*others, carried[0]]) for v in carried]
    index, on, go = make.name("i"), make.name("on"), make.name("go")
    outs = [o for _, o in made]
    nodes = [n for chain, _ in made for n in chain]
    nodes += _ended(make, outs[0], go, x.dtype) if make.chance(0.2) else [_node("Identity", [on], [go])]
    stacked = make.chance(0.4)
    if stacked:
        row = make.name("r")
        nodes.append(_node("Neg", [outs[0]], [row]))
        outs.append(row)
    infos = [
        _info(index, np.array(0), []),
        _info(on, np.array(True), []),
        *(_info(n, x.arrays[0]) for n in names),
    ]
    body = _body(nodes, infos, [go, *outs])
    trip: Known
    if make.chance(0.4):
        counts = tuple(np.array(make.pick.randint(1 if stacked else 0, 3)) for _ in range(make.runs))
        trip = make.fed(Known(make.name("k"), counts))
    else:
        trip = make.constant(make.pick.randint(1, 3), "int64")
    going = make.constant(True) if make.chance(0.5) else None
    starts = [make.choice((x, *others)) for _ in names]
    found = make.emit("Loop", [trip, going, *starts], len(outs), body=body)
    if stacked:  # how many rows there are hangs on data
        make.hide(found[-1])


def _ended(make: Maker, value: str, go: str, dtype: str) -> list[NodeProto]:
    """Go on while the largest element lies below a bound."""
    largest, bound = make.name("b"), make.constant(make.choice((0.3, 0.7)), dtype)
    return [
        _node("ReduceMax", [value], [largest], keepdims=0),
        _node("Less", [largest, bound.name], [go]),
    ]


def scan(make: Maker) -> None:
    """Over the first axis, with a running value."""
    x = make.one(rank=(1, 3), where=lambda v: v.static and 0 not in v.shape)
    start = make.fresh([(n,) * make.runs for n in x.shape[1:]])
    total, row, out = make.name("t"), make.name("r"), make.name("o")
    added, kept = make.name("s"), make.name("s")
    nodes = [_node("Add", [total, row], [added]), _node("Tanh", [added], [kept]), _node("Neg", [kept], [out])]
    shape = list(x.shape[1:])
    infos = [_info(total, x.arrays[0], shape), _info(row, x.arrays[0], shape)]
    body = helper.make_graph(
        nodes, "body", infos, [_info(kept, x.arrays[0], shape), _info(out, x.arrays[0], shape)]
    )
    make.emit("Scan", [start, x], 2, body=body, num_scan_inputs=1)
