"""Convolutions that every target must compute: windows, groups, layouts, depthwise ones, epilogues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pyruntime.ir.dims import Dim, floordiv, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, Window
from pyruntime.ir.scalar import Acc, cast
from pyruntime.ir.symbols import evaluate as value_of
from pyruntime.ir.views import View
from pyruntime.ops.layouts import pack_conv, pack_depthwise
from tests.kernels.case import Case, Maker
from tests.kernels.epilogues import EPILOGUES, Build, bias_relu, plain

F32 = DType.F32
NHWC = (0, 1, 2, 3)  # how the axes n, h, w, c lie in memory, outermost first
NCHW = (0, 3, 1, 2)

Pair = tuple[int, int]


@dataclass(frozen=True)
class Shape:
    """What to convolve: input size, channels, window."""

    size: tuple[Dim, Dim]
    channels: int
    out_channels: int
    kernel: Pair
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    before: Pair = (0, 0)
    after: Pair = (0, 0)
    groups: int = 1
    batch: Dim = 1
    out_extra: Pair = (0, 0)  # outputs beyond those that fit

    @property
    def depthwise(self) -> bool:
        return self.groups > 1 and self.groups == self.channels == self.out_channels

    @property
    def out_size(self) -> tuple[Dim, Dim]:
        spans = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        h, w = (
            floordiv(size + before + after - span, stride) + 1 + extra
            for size, before, after, span, stride, extra in zip(
                self.size, self.before, self.after, spans, self.strides, self.out_extra, strict=True
            )
        )
        return h, w

    def __str__(self) -> str:
        parts = [f"{self.size[0]}x{self.size[1]}", f"{self.channels}->{self.out_channels}"]
        parts.append(f"k{self.kernel[0]}x{self.kernel[1]}")
        for letter, pair, usual in (("s", self.strides, (1, 1)), ("d", self.dilations, (1, 1))):
            parts += [f"{letter}{pair[0]}x{pair[1]}"] if pair != usual else []
        parts += [f"p{','.join(map(str, self.before + self.after))}"] if any(self.before + self.after) else []
        parts += [f"g{self.groups}"] if self.groups > 1 else []
        return " ".join([*parts, *([f"n{self.batch}"] if self.batch != 1 else [])])


def same(shape: Shape) -> Shape:
    """With padding that keeps the size at stride 1."""
    pads = [((k - 1) * d // 2, k // 2 * d) for k, d in zip(shape.kernel, shape.dilations, strict=True)]
    return replace(shape, before=(pads[0][0], pads[1][0]), after=(pads[0][1], pads[1][1]))


def _case(
    shape: Shape,
    *,
    epilogue: Build = plain,
    layout: Sequence[int] = NHWC,
    order: Sequence[int] = NHWC,
    part: bool = False,
    gap: int = 0,
    panels: int = 8,
    dtype: DType = F32,
    note: str = "",
    symbols: dict[str, int] | None = None,
) -> Case:
    """One convolution of an input in `layout`; `gap` puts it within pixels that have more channels."""
    maker = Maker(symbols or {}, seed=shape.channels + 7 * shape.kernel[1])
    sizes = (shape.batch, *shape.size, shape.channels)
    if gap:
        whole = maker.dense((*sizes[:-1], shape.channels + gap), dtype)
        x = View(whole.tensor, gap // 2, whole.strides)
    else:
        x = maker.permuted(sizes, layout, dtype)
    per_group = shape.channels // shape.groups
    count = shape.out_channels * per_group * shape.kernel[0] * shape.kernel[1]
    filters = maker.values(count, dtype).reshape(shape.out_channels, per_group, *shape.kernel)
    if shape.depthwise:
        panels, weight = 0, maker.weight(pack_depthwise(filters))
    else:
        weight = maker.weight(pack_conv(filters, shape.groups, panels), f"panels{panels}")
    out = (shape.batch, *shape.out_size, shape.out_channels)
    body, inputs, size_values = epilogue(maker, out) if dtype is F32 else (cast(Acc(dtype), dtype), (), ())
    call = Conv(
        name=f"{shape}{note and ', '}{note}",
        inputs=inputs,
        output=maker.part(out, 3, 2) if part else maker.output(out, dtype, order),
        size_values=size_values,
        n=shape.batch,
        in_size=shape.size,
        out_size=shape.out_size,
        in_channels=shape.channels,
        out_channels=shape.out_channels,
        groups=shape.groups,
        window=Window(shape.kernel, shape.strides, shape.dilations, shape.before),
        x=x,
        weight=View(weight, 0, (0, 0, 0, 0)),
        panels=panels,
        body=body,
    )
    assert all(value_of(s, maker.symbols) >= 0 for s in out), call.name
    return Case(call.name, call, maker.inputs, maker.symbols)


GENERAL = (
    *(Shape((6, 7), 5, 9, (1, 1)), Shape((5, 5), 16, 24, (1, 1), (2, 2)), Shape((3, 3), 1, 1, (3, 3))),
    same(Shape((7, 9), 3, 16, (3, 3))),
    same(Shape((12, 11), 3, 16, (3, 3), (2, 2))),
    same(Shape((4, 5), 20, 6, (3, 3), batch=2)),
    same(Shape((9, 9), 8, 12, (3, 3), dilations=(2, 2))),
    same(Shape((7, 20), 4, 5, (3, 3), dilations=(3, 5))),
    same(Shape((10, 53), 6, 10, (3, 3))),
    same(Shape((3, 101), 2, 3, (5, 4), (1, 3))),
    same(Shape((9, 8), 12, 8, (3, 3), groups=2)),
    same(Shape((9, 8), 12, 24, (3, 3), (2, 1), groups=4)),
    Shape((6, 6), 4, 3, (2, 3), (1, 2), (2, 1), (0, 2), (3, 1)),
    Shape((5, 6), 4, 9, (5, 6), before=(2, 0), after=(0, 3)),
    Shape((3, 3), 2, 4, (7, 7), before=(3, 3), after=(3, 3)),
    Shape((1, 33), 7, 11, (1, 5), before=(0, 2), after=(0, 2), batch=3),
    Shape((1, 30), 6, 4, (1, 4), (1, 2), (1, 3), batch=2),
    Shape((8, 8), 4, 4, (3, 3), before=(-1, -2), after=(-1, 0)),
    Shape((4, 4), 300, 10, (2, 2), before=(1, 1)),
    Shape((5, 4), 40, 140, (3, 3), before=(1, 1), after=(1, 1)),
    Shape((2, 3), 8, 12, (1, 1), after=(1, 2)),  # pixels past the end
    Shape((5, 4), 8, 12, (1, 1), (2, 2), after=(2, 1), groups=2),
    Shape((2, 2), 3, 4, (3, 3)),  # nothing fits: no output
)

# few channels, of which tiles read planes on Wasm: rows in runs, outputs at edges, more than a block
PLANAR = (
    same(Shape((5, 107), 3, 16, (3, 3), (2, 2))),
    same(Shape((6, 65), 3, 72, (6, 6), (2, 2), batch=2)),
    same(Shape((4, 60), 1, 12, (3, 3))),
    same(Shape((9, 23), 4, 8, (3, 5), dilations=(2, 1))),
    Shape((5, 9), 2, 9, (4, 2), (3, 2), before=(-1, 4), after=(2, -3)),
    Shape((2, 3), 3, 8, (5, 5), before=(2, 2), after=(2, 2)),
)

# computed by transformed tiles on Wasm, of floats and of bytes: tiles that end outside, padding that cuts off
TRANSFORMED = (
    *(same(Shape((h, w), 16, 16, (3, 3))) for h, w in ((5, 5), (8, 8), (9, 7), (6, 30))),
    same(Shape((7, 11), 16, 17, (3, 3), batch=2)),
    Shape((8, 9), 24, 16, (3, 3), before=(2, 0), after=(1, 3)),
    Shape((9, 12), 16, 24, (3, 3), before=(-1, -2), after=(0, -1)),
    Shape((2, 3), 16, 16, (3, 3), before=(4, 5), after=(3, 2)),
)
# channels by fours, enough outputs
WINOGRAD = (
    *TRANSFORMED,
    *(same(Shape((7, 11), c, oc, (3, 3), batch=2)) for c, oc in ((20, 32), (36, 70), (52, 33))),
    Shape((10, 13), 24, 16, (3, 3)),
    same(Shape((31, 29), 20, 24, (3, 3))),  # several blocks of tiles
    same(Shape((18, 22), 260, 56, (3, 3))),  # and of output channels, which threads share
    same(Shape((5, 6), 520, 40, (3, 3))),  # sums in several pieces
)

DEPTHWISE = (
    *(same(Shape((9, 12), c, c, (3, 3), groups=c)) for c in (2, 3, 4, 5, 8, 9, 31)),
    *(same(Shape((h, w), 6, 6, (3, 3), groups=6)) for h, w in ((1, 1), (2, 3), (3, 2), (4, 5), (5, 17))),
    *(same(Shape((9, w), 8, 8, (3, 3), (2, 2), groups=8)) for w in (4, 9, 12, 19)),
    *(same(Shape((11, 13), 5, 5, (k, k), (s, s), groups=5)) for k in (5, 7) for s in (1, 2)),
    same(Shape((11, 13), 8, 8, (3, 3), dilations=(2, 3), groups=8, batch=2)),
    same(Shape((11, 13), 8, 8, (3, 3), (3, 3), groups=8)),
    same(Shape((8, 9), 4, 4, (1, 9), groups=4)),
    same(Shape((2, 75), 5, 5, (3, 3), groups=5)),  # rows in several runs, at an edge
    same(Shape((6, 71), 4, 4, (5, 5), (2, 2), dilations=(2, 1), groups=4)),
    Shape((8, 19), 4, 4, (2, 2), groups=4),
    Shape((6, 13), 4, 4, (4, 3), (1, 2), before=(0, 2), after=(3, 1), groups=4),
    Shape((9, 9), 4, 4, (3, 3), before=(-1, -1), after=(0, -2), groups=4),
    Shape((1, 40), 12, 12, (1, 3), before=(0, 2), groups=12, batch=2),
)


def cases() -> Iterator[Case]:
    """All cases; names are unique."""
    for shape in GENERAL:
        yield _case(shape, epilogue=bias_relu)
        yield _case(shape, layout=NCHW, note="from NCHW")
    for shape in PLANAR:
        yield _case(shape, epilogue=bias_relu, layout=NCHW, note="planes")
    for shape in WINOGRAD:
        yield _case(shape, epilogue=bias_relu)
    for shape in DEPTHWISE:
        yield _case(shape, epilogue=bias_relu)
        yield _case(shape, layout=NCHW, note="from NCHW")
    for shape in (
        same(Shape((5, 6), 4, 7, (3, 3), batch=2)),
        same(Shape((5, 6), 8, 8, (3, 3), groups=4)),
        same(Shape((5, 9), 16, 18, (3, 3))),
        same(Shape((5, 14), 3, 8, (3, 3))),
        same(Shape((5, 10), 7, 7, (3, 3), groups=7)),
        same(Shape((5, 10), 7, 7, (3, 3), (2, 2), groups=7)),
    ):
        for epilogue in EPILOGUES:
            yield _case(shape, epilogue=epilogue, note=epilogue.__name__)
        yield _case(shape, epilogue=bias_relu, order=NCHW, note="to NCHW")
        yield _case(shape, layout=NCHW, order=NCHW, epilogue=bias_relu, note="NCHW")
        yield _case(shape, epilogue=bias_relu, part=True, note="part of a tensor")
        yield _case(shape, gap=5, note="from part of a tensor")
        for dtype in (DType.F16, DType.F64, DType.I32, DType.I64):
            yield _case(shape, dtype=dtype, note=repr(dtype))
    batch, height, width = symbol("batch"), symbol("height"), symbol("width")
    for values in ((1, 1, 1), (2, 9, 4), (1, 5, 60)):
        symbols = dict(zip(("batch", "height", "width"), values, strict=True))
        general = Shape((height, width), 3, 10, (3, 3), before=(1, 1), after=(1, 1), batch=batch)
        note = f"symbols {values}"
        yield _case(general, epilogue=bias_relu, symbols=symbols, note=note)
        yield _case(replace(general, strides=(2, 2)), layout=NCHW, symbols=symbols, note=note)
        yield _case(replace(general, channels=16, out_channels=20), symbols=symbols, note=note)
        depthwise = replace(general, out_channels=3, groups=3, strides=(2, 1))
        yield _case(depthwise, epilogue=bias_relu, symbols=symbols, note=note)
