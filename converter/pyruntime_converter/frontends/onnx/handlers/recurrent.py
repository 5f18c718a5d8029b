"""Recurrent layers: the input's product becomes a MatMul over all steps, the rest an op of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.builder import dims_of
from pyruntime.ops.definition import definition
from pyruntime.ops.recurrent import ACTIVATIONS, Activation, Recurrent
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import slice_axis

REVERSE = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_NAMES = {name.lower(): name for name in ACTIVATIONS}


@handles("LSTM", "GRU", "RNN")
def recurrent(ctx: NodeContext) -> list[Value]:
    """All three in all opsets; half precision is computed in single, double in double."""
    op = definition(ctx.op)
    assert isinstance(op, Recurrent)
    x, w, r = (ctx.input(i) for i in range(3))
    others = [ctx.optional(i) for i in range(3, 5 + op.states + (ctx.op == "LSTM"))]
    if w.rank != 3:
        ctx.invalid(f"W of rank {w.rank}, not 3")

    def project(x: Value) -> Value:
        directions, rows, inputs = w.shape
        flat = ctx.reshape(ctx.cast(w, x.dtype), (directions * rows, inputs))
        return ctx.one("MatMul", x, ctx.one("Transpose", flat, perm=(1, 0)))

    return layer(ctx, ctx.op, x, project, r, others)


def layer(
    ctx: NodeContext,
    name: str,
    x: Value,
    project: Callable[[Value], Value],
    r: Value,
    others: Sequence[Value | None],
) -> list[Value]:
    """The outputs of a recurrent layer.

    Args:
        ctx: the node, whose attributes say the rest.
        name: of the canonical op.
        x: the input, as the node has it.
        project: from [steps, batch, inputs] in float32, or in float64 for a node of that, to products with W,
            [steps, batch, directions * rows].
        r: recurrent weights [directions, rows, units].
        others: bias, lengths, initial states and, for an LSTM, peepholes; None where absent.
    """
    op = definition(name)
    assert isinstance(op, Recurrent)
    bias, lengths, *given = others
    dtype = x.dtype
    arithmetic = DType.F64 if dtype is DType.F64 else DType.F32
    x, r = ctx.cast(x, arithmetic), ctx.cast(r, arithmetic)
    bias, *given = (v if v is None else ctx.cast(v, arithmetic) for v in (bias, *given))
    states, further = given[: op.states], given[op.states] if len(given) > op.states else None
    if x.rank != 3 or r.rank != 3:
        ctx.invalid(f"X and R of rank {x.rank} and {r.rank}, not 3")
    attrs = _attributes(ctx, op, r)
    batch_first = bool(ctx.attr("layout"))
    if batch_first:
        x = _swapped(ctx, x)
        states = [v if v is None else _swapped(ctx, v) for v in states]
    if lengths is not None:
        known = dims_of(lengths)
        if known is not None and all(length == x.shape[0] for length in known):
            lengths = None
    directions, rows, _ = r.shape
    apart = attrs.get("linear_before_reset", False)
    gates, recurrent_bias = _biased(ctx, project(x), bias, (directions, rows), apart=apart)
    if recurrent_bias is not None:
        further = recurrent_bias
    results = ctx.builder.emit(name, [gates, r, lengths, *states, *_given(further)], attrs)
    results = [ctx.cast(v, dtype) for v in results]
    if not batch_first:
        return results
    every, *finals = results
    return [ctx.one("Transpose", every, perm=(2, 0, 1, 3)), *(_swapped(ctx, v) for v in finals)]


def _given(value: Value | None) -> list[Value]:
    return [] if value is None else [value]


def _swapped(ctx: NodeContext, value: Value) -> Value:
    """value with its first two axes exchanged."""
    return ctx.one("Transpose", value, perm=(1, 0, 2))


def _attributes(ctx: NodeContext, op: Recurrent, r: Value) -> dict[str, Any]:
    """The canonical op's attributes."""
    reverse = REVERSE[ctx.choice("direction", *REVERSE)]
    hidden = ctx.attr("hidden_size")
    if hidden is not None and hidden != r.shape[-1]:
        ctx.invalid(f"hidden_size is {hidden}, R has {r.shape[-1]} columns")
    ctx.attr("output_sequence")  # of the first opset: outputs are what the node names
    clip = ctx.attr("clip")
    if clip is not None and clip <= 0:
        ctx.invalid(f"clip is {clip}, not above zero")
    attrs: dict[str, Any] = {
        "reverse": reverse,
        "activations": _activations(ctx, op, len(reverse)),
        "clip": None if clip is None else float(clip),
    }
    return {**attrs, **{k: bool(ctx.attr(k)) for k in op.attrs if k not in attrs}}


def _activations(ctx: NodeContext, op: Recurrent, directions: int) -> tuple[tuple[Activation, ...], ...]:
    """The functions of each direction; parameters go to those that have one, in order, while they last."""
    count = len(op.functions)
    names = ctx.attr("activations") or op.functions * directions
    if ctx.op == "RNN" and directions == 1:
        names = names[:1]  # two are its default, whatever the direction
    if len(names) != count * directions:
        ctx.invalid(f"{len(names)} activations for {directions} directions of {count}")
    alphas, betas = (list(ctx.attr(f"activation_{p}") or ()) for p in ("alpha", "beta"))
    found: list[Activation] = []
    for name in names:
        known = _NAMES.get(str(name).lower())
        if known is None:
            ctx.fail(f"activation {name!r} is not one of {', '.join(ACTIVATIONS)}")
        default = ACTIVATIONS[known]
        alpha = default.alpha if default.alpha is None or not alphas else float(alphas.pop(0))
        beta = default.beta if default.beta is None or not betas else float(betas.pop(0))
        found.append(Activation(known, alpha, beta))
    if alphas or betas:
        ctx.fail(f"activation parameters {[*alphas, *betas]} belong to no activation")
    return tuple(tuple(found[d * count : (d + 1) * count]) for d in range(directions))


def _biased(
    ctx: NodeContext, gates: Value, bias: Value | None, shape: tuple[Dim, Dim], *, apart: bool
) -> tuple[Value, Value | None]:
    """Products plus both biases [directions, 2 * rows], for `shape` (directions, rows).

    With `apart` (GRU) the recurrent bias of the last of three gates comes second, not added.
    """
    if bias is None:
        return gates, None
    directions, rows = shape
    if bias.shape != (directions, 2 * rows):
        ctx.invalid(f"B of shape {bias.shape}, not {(directions, 2 * rows)}")
    assert isinstance(rows, int)
    own, recurrent = slice_axis(ctx, bias, 1, 0, rows), slice_axis(ctx, bias, 1, rows, rows)
    kept = None
    if apart:
        added = rows // 3 * 2
        kept = slice_axis(ctx, recurrent, 1, added, rows // 3)
        recurrent = slice_axis(ctx, recurrent, 1, 0, added)
        first = ctx.one("Add", slice_axis(ctx, own, 1, 0, added), recurrent)
        total = ctx.one("Concat", first, slice_axis(ctx, own, 1, added, rows // 3), axis=1)
    else:
        total = ctx.one("Add", own, recurrent)
    return ctx.one("Add", gates, ctx.reshape(total, (directions * rows,))), kept
