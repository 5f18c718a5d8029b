"""Linear models and support vector machines of ai.onnx.ml: products with their coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.coupling import coupled
from pyruntime_converter.frontends.onnx.handlers.scores import (
    TRANSFORMS,
    best,
    labels,
    transformed,
    two_columns,
)
from pyruntime_converter.frontends.onnx.held import Held

_KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")
_NEAREST = 1e-7  # that a probability of a pair of classes comes to 0 and 1


@handles("LinearRegressor", domain="ai.onnx.ml")
def linear_regressor(ctx: NodeContext) -> Value:
    """Products with coefficients, and intercepts added."""
    scores = _affine(ctx, _matrix(ctx), int(ctx.attr("targets")))
    return transformed(ctx, scores, ctx.choice("post_transform", *TRANSFORMS))


@handles("LinearClassifier", domain="ai.onnx.ml")
def linear_classifier(ctx: NodeContext) -> list[Held]:
    """The class of the largest score, and the scores; one score tells two classes apart by its sign."""
    ctx.attr("multi_class")
    x, transform = _matrix(ctx), ctx.choice("post_transform", *TRANSFORMS)
    integers, strings = ctx.attr("classlabels_ints"), ctx.attr("classlabels_strings")
    count = len(integers or strings or ())
    intercepts = ctx.attr("intercepts")
    scores = _affine(ctx, x, len(intercepts) if intercepts else count)
    if scores.shape[1] != 1:
        return [labels(ctx, best(ctx, scores), integers, strings), transformed(ctx, scores, transform)]
    if count != 2:
        ctx.fail(f"one score for {count} classes is not supported")
    found = labels(ctx, _sign(ctx, scores), integers, strings)
    return [found, transformed(ctx, two_columns(ctx, ctx.one("Neg", scores), scores), transform)]


def _affine(ctx: NodeContext, x: Value, targets: int) -> Value:
    coefficients = np.asarray(ctx.required("coefficients"))
    if targets < 1 or coefficients.size % targets:
        ctx.invalid(f"{coefficients.size} coefficients for {targets} scores")
    scores = ctx.one("MatMul", x, ctx.builder.constant(coefficients.reshape(targets, -1).T, x.dtype))
    intercepts = ctx.attr("intercepts")
    if not intercepts:
        return scores
    return ctx.one("Add", scores, ctx.builder.constant(intercepts, x.dtype))


def _matrix(ctx: NodeContext) -> Value:
    """The input as rows of float32."""
    x = ctx.cast(ctx.input(), DType.F32)
    return ctx.reshape(x, (1, *x.shape)) if x.rank == 1 else x


def _sign(ctx: NodeContext, scores: Value) -> Value:
    """1 for each row of [rows, 1] above zero, else 0."""
    above = ctx.one("Greater", scores, ctx.like(0, scores))
    return ctx.reshape(ctx.cast(above, DType.I64), scores.shape[:1])


# ----------------------------------------------------------------- support vectors


def _kernel(ctx: NodeContext, x: Value, vectors: NDArray[Any], kind: str) -> Value:
    """[rows, vectors]: the kernel function of each row and each support vector."""
    parameters = ctx.attr("kernel_params") or (0.0, 0.0, 0.0)
    gamma, offset, degree = parameters
    products = ctx.one("MatMul", x, ctx.builder.constant(vectors.T, x.dtype))
    if kind == "LINEAR":
        return products
    if kind == "RBF":
        # differences, not |x|^2 - 2 x v + |v|^2, which cancels
        spread = ctx.reshape(x, (x.shape[0], 1, x.shape[1]))
        difference = ctx.one("Sub", spread, ctx.builder.constant(vectors, x.dtype))
        distance = ctx.one("ReduceSum", ctx.one("Mul", difference, difference), axes=(2,), keepdims=False)
        return ctx.one("Exp", ctx.one("Mul", distance, ctx.like(-gamma, x)))
    scaled = ctx.one("Add", ctx.one("Mul", products, ctx.like(gamma, x)), ctx.like(offset, x))
    return ctx.one("Tanh", scaled) if kind == "SIGMOID" else ctx.one("Pow", scaled, ctx.like(degree, x))


@handles("SVMRegressor", domain="ai.onnx.ml")
def svm_regressor(ctx: NodeContext) -> Value:
    """A weighted sum of kernel functions; its sign where it tells one class from all else."""
    x, kind = _matrix(ctx), ctx.choice("kernel_type", *_KERNELS)
    coefficients, rho = np.asarray(ctx.required("coefficients")), ctx.attr("rho") or (0.0,)
    count = int(ctx.attr("n_supports"))
    vectors = ctx.attr("support_vectors")
    features = _kernel(ctx, x, _rows(ctx, vectors, count), kind) if count else x
    if isinstance(features.shape[1], int) and features.shape[1] != coefficients.size:
        ctx.invalid(f"{coefficients.size} coefficients for {features.shape[1]} values")
    sums = ctx.one("MatMul", features, ctx.builder.constant(coefficients.reshape(-1, 1), x.dtype))
    scores = ctx.one("Add", sums, ctx.like(rho[0], x))
    if ctx.attr("one_class"):
        inside = ctx.one("Greater", scores, ctx.like(0, x))
        return ctx.one("Where", inside, ctx.like(1, x), ctx.like(-1, x))
    return transformed(ctx, scores, ctx.choice("post_transform", *TRANSFORMS))


def _rows(ctx: NodeContext, vectors: Any, count: int) -> NDArray[Any]:
    found = np.asarray(vectors if vectors is not None else ())
    if not found.size or found.size % count:
        ctx.invalid(f"{found.size} numbers for {count} support vectors")
    return found.reshape(count, -1)


@dataclass(frozen=True)
class _Pairs:
    """Which classes each score tells apart: matrices over all pairs of classes i < j, in order."""

    coefficients: NDArray[Any]  # [vectors, pairs]
    first: NDArray[Any]  # [pairs, classes]
    second: NDArray[Any]


def _pairs(ctx: NodeContext, sizes: list[int]) -> _Pairs:
    """Coefficients as libsvm stores them: row j - 1 or i holds what a vector of class i or j counts."""
    classes, total = len(sizes), sum(sizes)
    given = np.asarray(ctx.required("coefficients"))
    if given.size != (classes - 1) * total:
        ctx.invalid(f"{given.size} coefficients for {total} vectors of {classes} classes")
    table, ends = given.reshape(classes - 1, total), np.cumsum([0, *sizes])
    order = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    coefficients = np.zeros((total, len(order)))
    for pair, (i, j) in enumerate(order):
        for row, own in ((j - 1, i), (i, j)):
            part = slice(ends[own], ends[own + 1])
            coefficients[part, pair] = table[row, part]
    first, second = (np.eye(classes)[[pair[side] for pair in order]] for side in (0, 1))
    return _Pairs(coefficients, first, second)


@handles("SVMClassifier", domain="ai.onnx.ml")
def svm_classifier(ctx: NodeContext) -> list[Held]:
    """The class with most votes of pairs, and the scores of pairs, or the probabilities of classes."""
    x, kind = _matrix(ctx), ctx.choice("kernel_type", *_KERNELS)
    transform = ctx.choice("post_transform", *TRANSFORMS)
    integers, strings = ctx.attr("classlabels_ints"), ctx.attr("classlabels_strings")
    sizes, rho = list(ctx.attr("vectors_per_class") or ()), ctx.attr("rho") or ()
    vectors, prob_a, prob_b = ctx.attr("support_vectors"), ctx.attr("prob_a"), ctx.attr("prob_b")
    classes = len(integers or strings or ())
    if len(sizes) != classes or classes < 2:
        ctx.fail(f"support vectors of {len(sizes)} classes for {classes} labels are not supported")
    pairs = _pairs(ctx, sizes)
    if len(rho) != pairs.first.shape[0]:
        ctx.invalid(f"{len(rho)} offsets for {pairs.first.shape[0]} pairs of classes")
    features = _kernel(ctx, x, _rows(ctx, vectors, sum(sizes)), kind)
    sums = ctx.one("MatMul", features, ctx.builder.constant(pairs.coefficients, x.dtype))
    scores = ctx.one("Add", sums, ctx.builder.constant(rho, x.dtype))
    wins = ctx.cast(ctx.one("Greater", scores, ctx.like(0, x)), x.dtype)
    votes = ctx.one("MatMul", wins, ctx.builder.constant(pairs.first - pairs.second, x.dtype))
    votes = ctx.one("Add", votes, ctx.builder.constant(pairs.second.sum(axis=0), x.dtype))
    found = labels(ctx, best(ctx, votes), integers, strings)
    if prob_a:
        chances = _probabilities(ctx, scores, classes, prob_a, prob_b or (0.0,) * len(prob_a))
        return [found, transformed(ctx, chances, transform)]
    if classes == 2:
        return [found, transformed(ctx, two_columns(ctx, ctx.one("Neg", scores), scores), transform)]
    return [found, transformed(ctx, scores, transform)]


def _probabilities(
    ctx: NodeContext, scores: Value, classes: int, a: Sequence[float], b: Sequence[float]
) -> Value:
    """How probable each class is: Platt's sigmoid of each pair's score, coupled where there are several."""
    pairs = classes * (classes - 1) // 2
    if len(a) != pairs or len(b) != pairs:
        ctx.invalid(f"{len(a)} and {len(b)} parameters of probabilities for {pairs} pairs of classes")
    slope, shift = (ctx.builder.constant(v, scores.dtype) for v in (a, b))
    shifted = ctx.one("Add", ctx.one("Mul", scores, slope), shift)
    first = ctx.one("Sigmoid", ctx.one("Neg", shifted))
    first = ctx.one("Min", ctx.one("Max", first, ctx.like(_NEAREST, first)), ctx.like(1 - _NEAREST, first))
    if classes == 2:
        return two_columns(ctx, first, ctx.one("Sub", ctx.like(1, first), first))
    return coupled(ctx, first, classes)
