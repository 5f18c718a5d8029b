"""Rewrites of the graph, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from pyruntime.ir.graph import Graph
from pyruntime_converter.passes.activations import recognise_activations
from pyruntime_converter.passes.algebra import simplify
from pyruntime_converter.passes.attention import recognise_attention
from pyruntime_converter.passes.cleanup import eliminate_common, eliminate_dead
from pyruntime_converter.passes.codes import retype
from pyruntime_converter.passes.convolutions import absorb_padding, fold_batch_norm
from pyruntime_converter.passes.dequantized import settle_weights, sink_dequantize
from pyruntime_converter.passes.embedding import (
    fold_into_tables,
    one_hot_to_embedding,
    slice_in_order,
)
from pyruntime_converter.passes.expand import expand_attention, expand_blocks
from pyruntime_converter.passes.indices import fold_indices
from pyruntime_converter.passes.integer_products import integer_products
from pyruntime_converter.passes.normalizations import recognise_normalizations
from pyruntime_converter.passes.phases import split_phases
from pyruntime_converter.passes.products import merge_products
from pyruntime_converter.passes.quantize import Quantization, Quantized, quantize_weights
from pyruntime_converter.passes.quantize_blocks import quantize_blocks
from pyruntime_converter.passes.requantize import fold_scales
from pyruntime_converter.passes.rotary import recognise_rotary

Pass = Callable[[Graph], None]

RECOGNISE: tuple[Pass, ...] = (
    retype,
    eliminate_dead,
    sink_dequantize,
    integer_products,
    settle_weights,
    absorb_padding,
    fold_batch_norm,
    one_hot_to_embedding,
    simplify,
    eliminate_common,
    fold_indices,
    slice_in_order,
    recognise_activations,
    fold_into_tables,
    recognise_normalizations,
    recognise_rotary,
    recognise_attention,
    split_phases,
    eliminate_dead,
    merge_products,
)
FINISH: tuple[Pass, ...] = (
    sink_dequantize,
    fold_scales,
    expand_attention,
    expand_blocks,
    simplify,
    eliminate_common,
    eliminate_dead,
)

# what `convert(quantize=...)` does between them
QUANTIZE: Mapping[Quantization, Callable[[Graph, Quantized], None]] = {
    "int8": quantize_weights,
    "int4": partial(quantize_blocks, bits=4),
    "int8-weights": partial(quantize_blocks, bits=8),
}


def optimise(graph: Graph, quantized: Quantized | None = None) -> None:
    """Run all passes on the graph and on all subgraphs; the graph verifies before and after each.

    Where `quantized` is given, weights become integers, and it notes which.
    """
    quantize: tuple[Pass, ...] = ()
    if quantized is not None:
        quantize = (lambda graph: QUANTIZE[quantized.form](graph, quantized),)
    graph.verify()
    for rewrite in (*RECOGNISE, *quantize, *FINISH):
        for part in (graph, *_subgraphs(graph)):
            rewrite(part)
        graph.verify()


def _subgraphs(graph: Graph) -> list[Graph]:
    """All graphs inside graph, outer ones first."""
    found: list[Graph] = []
    for node in graph.nodes:
        for inner in node.subgraphs:
            found += [inner, *_subgraphs(inner)]
    return found
