"""Random models, each the same for the same name, and a strategy of them that Hypothesis can shrink."""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto
from pyruntime_converter.frontends.onnx.order import subgraphs

from tests.fuzz.maker import Maker
from tests.fuzz.operators import rules

NODES = 12
ATTEMPTS = 40  # of rules, for a model


@dataclass(frozen=True)
class Made:
    """A model and what is fed in each run."""

    proto: ModelProto
    feeds: list[dict[str, NDArray[np.generic]]]


def make(pick: random.Random, most: int = NODES) -> Made:
    """A model of 2 nodes at least; all choices come from `pick`."""
    maker = Maker(pick, _rules())
    wanted = pick.randint(2, most)
    for _ in range(ATTEMPTS):
        if len(maker.nodes) >= wanted:
            break
        maker.draw()
    if not maker.nodes:
        maker.apply("Neg", maker.fresh([(2,) * maker.runs], weight=0))
    proto, feeds, _ = maker.model()
    return Made(proto, feeds)


_rules = functools.cache(rules)


def named(seed: int, number: int) -> str:
    """The name of a model."""
    return f"fuzz_{seed}_{number}"


@functools.lru_cache(maxsize=256)
def model(name: str) -> Made:
    """The model of a name."""
    _, seed, number = name.split("_")
    return make(random.Random(f"{seed}/{number}"))


def operators(graph: GraphProto) -> set[str]:
    """All that a graph and its bodies use."""
    found = {n.op_type for n in graph.node}
    return found.union(*(operators(inner) for n in graph.node for inner in subgraphs(n)))


def models(most: int = NODES) -> st.SearchStrategy[Made]:
    """Any model of at most so many nodes."""
    return st.randoms(use_true_random=False).map(lambda pick: make(pick, most))
