"""Rewrites of the graph, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from pyruntime.ir.graph import Graph
from pyruntime_converter.passes.algebra import simplify
from pyruntime_converter.passes.attention import expand_attention
from pyruntime_converter.passes.cleanup import eliminate_common, eliminate_dead
from pyruntime_converter.passes.convolutions import absorb_padding, fold_batch_norm
from pyruntime_converter.passes.embedding import one_hot_to_embedding

Pass = Callable[[Graph], None]

PASSES: tuple[Pass, ...] = (
    eliminate_dead,
    absorb_padding,
    fold_batch_norm,
    one_hot_to_embedding,
    expand_attention,
    simplify,
    eliminate_common,
    eliminate_dead,
)


def optimise(graph: Graph) -> None:
    """Run all passes; the graph verifies before and after each."""
    graph.verify()
    for rewrite in PASSES:
        rewrite(graph)
        graph.verify()
