"""Steps of optimisers: Momentum, Adagrad and Adam, each of any number of tensors."""

from __future__ import annotations

from collections.abc import Callable

from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles

_DOMAIN = "ai.onnx.preview.training"


@handles("Momentum", domain=_DOMAIN)
def momentum(ctx: NodeContext) -> list[Value]:
    """Running sums of gradients, ahead by one step with Nesterov's mode."""
    rate, count = _rate(ctx), ctx.input(1)
    alpha, beta, norm = ctx.required("alpha"), ctx.required("beta"), ctx.required("norm_coefficient")
    nesterov = ctx.required("mode") == "nesterov"

    def step(x: Value, gradient: Value, speed: Value) -> tuple[Value, ...]:
        regular = _plus(ctx, gradient, norm, x)
        begun = ctx.one("Greater", count, ctx.like(0, count))
        weight = ctx.one("Where", begun, ctx.like(beta, x), ctx.like(1, x))
        speed = _plus(ctx, ctx.one("Mul", regular, weight), alpha, speed)
        direction = _plus(ctx, regular, alpha, speed) if nesterov else speed
        return ctx.one("Sub", x, ctx.one("Mul", rate, direction)), speed

    return _each(ctx, 3, step)


@handles("Adagrad", domain=_DOMAIN)
def adagrad(ctx: NodeContext) -> list[Value]:
    """Gradients over the roots of their summed squares."""
    rate, count = _rate(ctx), ctx.input(1)
    norm, epsilon, decay = ctx.attr("norm_coefficient"), ctx.attr("epsilon"), ctx.attr("decay_factor")
    steps = ctx.one("Mul", ctx.cast(count, rate.dtype), ctx.like(decay, rate))
    rate = ctx.one("Div", rate, ctx.one("Add", steps, ctx.like(1, rate)))

    def step(x: Value, gradient: Value, squares: Value) -> tuple[Value, ...]:
        regular = _plus(ctx, gradient, norm, x)
        squares = ctx.one("Add", squares, ctx.one("Mul", regular, regular))
        root = ctx.one("Add", ctx.one("Sqrt", squares), ctx.like(epsilon, x))
        return ctx.one("Sub", x, ctx.one("Div", ctx.one("Mul", rate, regular), root)), squares

    return _each(ctx, 3, step)


@handles("Adam", domain=_DOMAIN)
def adam(ctx: NodeContext) -> list[Value]:
    """Running means of gradients over the roots of those of their squares, with the first steps corrected."""
    rate, count = _rate(ctx), ctx.input(1)
    alpha, beta, epsilon = ctx.attr("alpha"), ctx.attr("beta"), ctx.attr("epsilon")
    norm, after = ctx.attr("norm_coefficient"), ctx.attr("norm_coefficient_post")
    steps = ctx.cast(count, rate.dtype)

    def rest(base: float) -> Value:
        return ctx.one("Sub", ctx.like(1, rate), ctx.one("Pow", ctx.like(base, rate), steps))

    corrected = ctx.one("Div", ctx.one("Mul", rate, ctx.one("Sqrt", rest(beta))), rest(alpha))
    rate = ctx.one("Where", ctx.one("Greater", count, ctx.like(0, count)), corrected, rate)

    def step(x: Value, gradient: Value, mean: Value, squares: Value) -> tuple[Value, ...]:
        regular = _plus(ctx, gradient, norm, x)
        mean = _plus(ctx, ctx.one("Mul", mean, ctx.like(alpha, x)), 1 - alpha, regular)
        square = ctx.one("Mul", regular, regular)
        squares = _plus(ctx, ctx.one("Mul", squares, ctx.like(beta, x)), 1 - beta, square)
        root = ctx.one("Add", ctx.one("Sqrt", squares), ctx.like(epsilon, x))
        moved = ctx.one("Sub", x, ctx.one("Div", ctx.one("Mul", rate, mean), root))
        return ctx.one("Mul", moved, ctx.like(1 - after, x)), mean, squares

    return _each(ctx, 4, step)


def _rate(ctx: NodeContext) -> Value:
    """The learning rate, which may be of another type than the tensors, in theirs."""
    return ctx.cast(ctx.input(0), ctx.input(2).dtype)


def _plus(ctx: NodeContext, a: Value, factor: float, b: Value) -> Value:
    """a + factor * b."""
    return a if factor == 0 else ctx.one("Add", a, ctx.one("Mul", b, ctx.like(factor, b)))


def _each(ctx: NodeContext, kinds: int, step: Callable[..., tuple[Value, ...]]) -> list[Value]:
    """The step of each tensor: inputs and outputs list all tensors of one kind, then those of the next."""
    count, left = divmod(ctx.stated_inputs - 2, kinds)
    if left or count < 1:
        ctx.invalid(f"{ctx.stated_inputs} inputs, not a rate, a count and {kinds} of each tensor")
    made = [step(*(ctx.input(2 + kind * count + i) for kind in range(kinds))) for i in range(count)]
    return [value for kind in zip(*made, strict=True) for value in kind]
