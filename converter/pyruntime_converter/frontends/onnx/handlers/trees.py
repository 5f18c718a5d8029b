"""Tree ensembles: every tree is walked in equal steps, each of which reads the tables of nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.scores import (
    TRANSFORMS,
    best,
    labels,
    transformed,
    two_columns,
)
from pyruntime_converter.frontends.onnx.held import Held
from pyruntime_converter.frontends.onnx.trees import Ensemble, by_ids, by_position

_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")  # in the order of TreeEnsemble's numbers
_EMPTY = {"MIN": np.inf, "MAX": -np.inf}
_NODES = (
    *("treeids", "nodeids", "modes", "featureids", "truenodeids", "falsenodeids"),
    *("values", "values_as_tensor", "hitrates", "hitrates_as_tensor", "missing_value_tracks_true"),
)


@handles("TreeEnsembleRegressor", domain="ai.onnx.ml")
def regressor(ctx: NodeContext) -> Value:
    """Sums, means or extremes over the leaves that each tree leads to, for each target."""
    x, how = _matrix(ctx), ctx.choice("aggregate_function", "SUM", "AVERAGE", "MIN", "MAX")
    targets = int(ctx.required("n_targets"))
    attrs = _attrs(ctx, "target")
    ensemble = _made(ctx, lambda: by_ids(attrs, "target", targets, _EMPTY.get(how, 0.0)))
    scores = _based(ctx, _aggregated(ctx, x, ensemble, how))
    return ctx.cast(transformed(ctx, scores, ctx.choice("post_transform", *TRANSFORMS)), DType.F32)


@handles("TreeEnsemble", domain="ai.onnx.ml")
def ensemble_of_trees(ctx: NodeContext) -> Value:
    """The same with nodes called by their positions, in the input's type."""
    x = _matrix(ctx)
    how, transform = _AGGREGATES[ctx.attr("aggregate_function")], TRANSFORMS[ctx.attr("post_transform")]
    names = [
        *(f"nodes_{n}" for n in ("splits", "featureids", "modes", "hitrates", "missing_value_tracks_true")),
        *(f"nodes_{b}{n}" for b in ("true", "false") for n in ("nodeids", "leafs")),
        *("leaf_targetids", "leaf_weights", "tree_roots", "membership_values"),
    ]
    attrs = {n: ctx.attr(n) for n in names}
    targets = ctx.attr("n_targets")
    targets = max(attrs["leaf_targetids"]) + 1 if targets is None else int(targets)
    ensemble = _made(ctx, lambda: by_position(attrs, targets, _EMPTY.get(how, 0.0)))
    scores = _aggregated(ctx, x, ensemble, how)
    return ctx.cast(transformed(ctx, scores, transform), ctx.input().dtype)


@handles("TreeEnsembleClassifier", domain="ai.onnx.ml")
def classifier(ctx: NodeContext) -> list[Held]:
    """The class of the largest sum, and the sums."""
    x, transform = _matrix(ctx), ctx.choice("post_transform", *TRANSFORMS)
    integers, strings = ctx.attr("classlabels_int64s"), ctx.attr("classlabels_strings")
    count = len(integers or strings or ())
    if count < 2:
        ctx.fail(f"it tells {count} classes apart")
    attrs = _attrs(ctx, "class")
    voted = set(attrs["class_ids"])
    if count == 2 and len(voted) == 1:
        return _two_classes(ctx, x, attrs, transform)
    ensemble = _made(ctx, lambda: by_ids(attrs, "class", count, 0.0))
    scores = _based(ctx, _aggregated(ctx, x, ensemble, "SUM"))
    found = labels(ctx, best(ctx, scores), integers, strings)
    return [found, ctx.cast(transformed(ctx, scores, transform), DType.F32)]


def _two_classes(ctx: NodeContext, x: Value, attrs: dict[str, Any], transform: str) -> list[Held]:
    """Votes for one class of two: probabilities where none is negative, else scores around zero."""
    ensemble = _made(
        ctx, lambda: by_ids({**attrs, "class_ids": [0] * len(attrs["class_ids"])}, "class", 1, 0.0)
    )
    score = _aggregated(ctx, x, ensemble, "SUM")
    base = _base_values(ctx)
    if base is not None:
        score = ctx.one("Add", score, ctx.like(float(base.ravel()[-1]), score))
    probabilities = bool((ensemble.weights >= 0).all())
    above = ctx.one("Greater", score, ctx.like(0.5 if probabilities else 0, score))
    index = ctx.reshape(ctx.cast(above, DType.I64), score.shape[:1])
    found = labels(ctx, index, ctx.attr("classlabels_int64s"), ctx.attr("classlabels_strings"))
    if transform == "PROBIT":
        ctx.fail("PROBIT of one score for two classes is not supported")
    if probabilities and transform == "NONE":
        pair = two_columns(ctx, ctx.one("Sub", ctx.like(1, score), score), score)
    else:
        pair = transformed(ctx, two_columns(ctx, ctx.one("Neg", score), score), transform)
    return [found, ctx.cast(pair, DType.F32)]


def _matrix(ctx: NodeContext) -> Value:
    """The input as rows of float32, or of float64 where it is that."""
    x = ctx.input()
    x = ctx.cast(x, DType.F64 if x.dtype is DType.F64 else DType.F32)
    return ctx.reshape(x, (1, *x.shape)) if x.rank == 1 else x


def _attrs(ctx: NodeContext, votes: str) -> dict[str, Any]:
    names = [
        *(f"nodes_{n}" for n in _NODES),
        *(f"{votes}_{n}" for n in ("treeids", "nodeids", "ids", "weights", "weights_as_tensor")),
    ]
    return {n: ctx.attr(n) for n in names}


def _made(ctx: NodeContext, make: Callable[[], Ensemble]) -> Ensemble:
    try:
        return make()
    except (KeyError, ValueError, IndexError, TypeError, StopIteration) as error:
        ctx.invalid(f"its nodes do not fit each other: {error}")


def _aggregated(ctx: NodeContext, x: Value, ensemble: Ensemble, how: str) -> Value:
    """[rows, targets]: what the leaves of all trees amount to."""
    rows, below = ensemble.forest.rows(ensemble.roots)
    at = _leaves(ctx, x, ensemble, rows, below)
    targets, weights = ensemble.weights.shape[1], ensemble.weights[rows]
    weights = weights[:, 0] if targets == 1 else weights
    votes = ctx.one("Gather", ctx.builder.constant(weights, x.dtype), at, axis=0)
    reduction = {"SUM": "ReduceSum", "AVERAGE": "ReduceSum", "MIN": "ReduceMin", "MAX": "ReduceMax"}[how]
    result = ctx.one(reduction, votes, axes=(1,), keepdims=False)
    result = ctx.reshape(result, (x.shape[0], targets))
    if how == "AVERAGE":
        result = ctx.one("Div", result, ctx.like(len(ensemble.roots), result))
    return result


def _leaves(
    ctx: NodeContext, x: Value, ensemble: Ensemble, rows: Sequence[int], below: Sequence[int]
) -> Value:
    """[rows of x, trees]: the row, as `Forest.rows` has them, of the leaf to which each leads."""
    forest, nodes = ensemble.forest, [ensemble.forest.nodes[row] for row in rows]
    width = x.shape[1] if x.rank == 2 else 0
    used = max((node.feature for node in forest.nodes if node.inner), default=0)
    if x.rank != 2 or (isinstance(width, int) and used >= width):
        ctx.invalid(f"its nodes test feature {used} of an input of shape {x.shape}")
    fields = {"feature": DType.I32, "threshold": x.dtype, "strict": DType.BOOL, "nan_left": DType.BOOL}
    tables = {
        name: ctx.builder.constant([getattr(node, name) for node in nodes], dtype)
        for name, dtype in fields.items()
    }
    children = ctx.builder.constant(below, DType.I32)
    try:
        depth = ensemble.depth
    except ValueError as error:
        ctx.invalid(str(error))
    kinds = {name: forest.kinds(name) for name in ("strict", "nan_left")}
    at = ctx.builder.constant(np.arange(len(ensemble.roots)), DType.I32)
    for step in range(depth):
        features = ctx.one("Gather", tables["feature"], at, axis=0)
        tested = (
            ctx.one("GatherElements", x, features, axis=1) if step else ctx.one("Gather", x, features, axis=1)
        )
        goes_left = _goes_left(ctx, tested, kinds, tables, at)
        at = ctx.one("Add", ctx.one("Gather", children, at, axis=0), ctx.cast(goes_left, DType.I32))
    return at if depth else ctx.one("Expand", at, shape=(x.shape[0], len(ensemble.roots)))


def _goes_left(
    ctx: NodeContext, tested: Value, kinds: Mapping[str, set[bool]], tables: Mapping[str, Value], at: Value
) -> Value:
    """Whether each tested value leads to the left; of tables only those are read in which nodes differ."""
    threshold = ctx.one("Gather", tables["threshold"], at, axis=0)
    strict, nan_left = kinds["strict"], kinds["nan_left"]
    if len(strict) > 1:
        is_strict = ctx.one("Gather", tables["strict"], at, axis=0)
        less, at_most = (ctx.one(op, tested, threshold) for op in ("Less", "LessOrEqual"))
        compared = ctx.one("Where", is_strict, less, at_most)
    else:
        compared = ctx.one("Less" if True in strict else "LessOrEqual", tested, threshold)
    # what a comparison with NaN gives is not the same on every device
    nan = ctx.one("IsNaN", tested)
    if len(nan_left) > 1:
        return ctx.one("Where", nan, ctx.one("Gather", tables["nan_left"], at, axis=0), compared)
    if True in nan_left:
        return ctx.one("Or", nan, compared)
    return ctx.one("And", ctx.one("Not", nan), compared)


def _base_values(ctx: NodeContext) -> Any:
    stated, tensor = ctx.attr("base_values"), ctx.attr("base_values_as_tensor")
    given = stated if tensor is None else tensor
    return None if given is None or not len(given) else np.asarray(given)


def _based(ctx: NodeContext, scores: Value) -> Value:
    base = _base_values(ctx)
    if base is None:
        return scores
    if base.size not in (1, scores.shape[1]):
        ctx.invalid(f"{base.size} base values for {scores.shape[1]} sums")
    return ctx.one("Add", scores, ctx.builder.constant(base.ravel(), scores.dtype))
