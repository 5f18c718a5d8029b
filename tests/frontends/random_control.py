"""Random ONNX models of nested branches and loops over small tensors, the same for the same seed."""

from __future__ import annotations

import random as choices
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto

from tests.frontends.control_models import Feeds, branch, looped, node, scalar
from tests.frontends.onnx_models import Array, model, random

DEPTH = 3


@dataclass
class Maker:
    """Collects nodes of nested bodies; every tensor is [n, 3], n a symbol."""

    seed: int
    weights: dict[str, Array] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        self.pick = choices.Random(self.seed)
        self.weights |= {"half": scalar(0.5), "axis": np.array([0], np.int64), "first": scalar(0, "int64")}

    def name(self, stem: str) -> str:
        """A new name."""
        self.count += 1
        return f"{stem}{self.count}"

    def constant(self, array: Array) -> str:
        """A weight."""
        name = self.name("w")
        self.weights[name] = array
        return name

    def block(self, known: Sequence[str], depth: int) -> tuple[list[NodeProto], str]:
        """Nodes over known tensors, and the last tensor that they make."""
        nodes: list[NodeProto] = []
        names = list(known)
        for _ in range(self.pick.randint(1, 3)):
            kinds = ["unary", "binary", "binary"] + ["if", "loop"] * (depth > 0)
            made, out = getattr(self, f"_{self.pick.choice(kinds)}")(names, depth)
            nodes += made
            names.append(out)
        return nodes, names[-1]

    def _unary(self, known: Sequence[str], depth: int) -> tuple[list[NodeProto], str]:
        out = self.name("u")
        return [
            node(self.pick.choice(["Relu", "Neg", "Tanh", "Identity"]), [self.pick.choice(known)], [out])
        ], out

    def _binary(self, known: Sequence[str], depth: int) -> tuple[list[NodeProto], str]:
        wide, out = self.name("b"), self.name("b")
        op = self.pick.choice(["Add", "Sub", "Mul", "Max"])
        sources = [self.pick.choice(known), self.pick.choice([*known, "half"])]
        return [node(op, sources, [wide]), node("Tanh", [wide], [out])], out

    def condition(self, known: Sequence[str]) -> tuple[list[NodeProto], str]:
        """On data, on the size, or on a parameter."""
        out, value = self.name("c"), self.name("v")
        match self.pick.choice(["data", "size", "parameter"]):
            case "data":
                sums = node("ReduceSum", [self.pick.choice(known)], [value], keepdims=0)
                return [
                    sums,
                    node("Less", [value, self.constant(scalar(self.pick.uniform(-1, 1)))], [out]),
                ], out
            case "size":
                limit = self.constant(np.array([self.pick.randint(1, 5)], np.int64))
                return [node("Shape", ["x"], [value], end=1), node("Less", [value, limit], [out])], out
        limit = self.constant(scalar(self.pick.randint(0, 3), "int64"))
        return [node("Greater", ["k", limit], [out])], out

    def _if(self, known: Sequence[str], depth: int) -> tuple[list[NodeProto], str]:
        nodes, condition = self.condition(known)
        out = self.name("if")
        branches: list[GraphProto] = []
        for _ in range(2):
            inner, last = self.block(known, depth - 1)
            branches.append(branch(*inner, node("Identity", [last], [self.name("r")])))
        return [*nodes, node("If", [condition], [out], then_branch=branches[0], else_branch=branches[1])], out

    def _loop(self, known: Sequence[str], depth: int) -> tuple[list[NodeProto], str]:
        index, on, go = self.name("i"), self.name("on"), self.name("go")
        carried = [self.name("a") for _ in range(self.pick.randint(1, 2))]
        inner, ends = [], []
        for _ in carried:
            nodes, last = self.block([*known, *carried], depth - 1)
            inner += nodes
            ends.append(last)
        outs, stack, row, total = self.name("l"), self.name("s"), self.name("row"), self.name("t")
        finals = [outs, *(self.name("l") for _ in carried[1:])]
        before, trip = self._trip()
        results = [self.name("e") for _ in carried]
        inner += [node("Identity", [e], [r]) for e, r in zip(ends, results, strict=True)]
        initial = [self.pick.choice(known) for _ in carried]
        if self.pick.random() < 0.3:  # ended by data, without a stack
            tests, condition = self.condition([*known, *carried])
            body = looped(
                [*inner, *tests, node("And", [on, condition], [go])], carried, [go, *results], (index, on)
            )
            return [*before, node("Loop", [trip, "", *initial], finals, body=body)], outs
        inner += [node("Identity", [on], [go]), node("ReduceMax", [results[-1]], [row], axes=[0], keepdims=0)]
        body = looped(inner, carried, [go, *results, row], (index, on))
        sums = [node("ReduceSum", [stack, "axis"], [total], keepdims=0)]
        joined = self.name("j")
        loop = node("Loop", [trip, "", *initial], [*finals, stack], body=body)
        return [*before, loop, *sums, node("Add", [outs, total], [joined])], joined

    def _trip(self) -> tuple[list[NodeProto], str]:
        """A number, the size, or a parameter."""
        match self.pick.choice(["constant", "size", "parameter"]):
            case "constant":
                return [], self.constant(scalar(self.pick.randint(0, 3), "int64"))
            case "size":
                shape, out = self.name("v"), self.name("m")
                return [node("Shape", ["x"], [shape], end=1), node("Gather", [shape, "first"], [out])], out
        return [], "k"


def random_model(seed: int) -> tuple[ModelProto, list[Feeds]]:
    """A model of x [n, 3], y [n, 3] and k, with inputs that take different ways."""
    maker = Maker(seed)
    nodes, last = maker.block(["x", "y"], DEPTH)
    nodes.append(node("Identity", [last], ["out"]))
    feeds: list[Feeds] = [
        {"x": random(n, 3, seed=seed + n), "y": random(n, 3, seed=seed - n + 9), "k": scalar(k, "int64")}
        for n, k in ((1, 0), (2, 3), (5, 1))
    ]
    shapes: dict[str, list[int | str | None]] = {"x": ["n", 3], "y": ["n", 3]}
    return model(nodes, feeds[0], ["out"], weights=maker.weights, shapes=shapes), feeds
