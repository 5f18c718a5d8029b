"""Poolings that every target must compute: windows, padding, counts, layouts, dtypes, epilogues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from pyruntime.ir.dims import symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Pool, Window
from pyruntime.ir.scalar import Acc, cast
from tests.kernels.case import Case, Maker
from tests.kernels.cases_conv import NCHW, NHWC, Shape, same
from tests.kernels.epilogues import EPILOGUES, Build, bias_relu, plain

F32 = DType.F32
Mode = Literal["max", "average"]


def _case(
    shape: Shape,
    mode: Mode,
    *,
    include_pad: bool = False,
    epilogue: Build = plain,
    layout: Sequence[int] = NHWC,
    order: Sequence[int] = NHWC,
    part: bool = False,
    dtype: DType = F32,
    note: str = "",
    symbols: dict[str, int] | None = None,
) -> Case:
    """One pooling of an input in `layout`."""
    maker = Maker(symbols or {}, seed=shape.channels)
    x = maker.permuted((shape.batch, *shape.size, shape.channels), layout, dtype)
    out = (shape.batch, *shape.out_size, shape.channels)
    body, inputs, size_values = epilogue(maker, out) if dtype is F32 else (cast(Acc(dtype), dtype), (), ())
    before, after = shape.before, shape.after
    call = Pool(
        name=f"{mode}{' with padding' if include_pad else ''} {shape}{note and ', '}{note}",
        inputs=inputs,
        output=maker.part(out, 1, 4, dtype) if part else maker.output(out, dtype, order),
        size_values=size_values,
        mode=mode,
        n=shape.batch,
        channels=shape.channels,
        in_size=shape.size,
        out_size=shape.out_size,
        window=Window(shape.kernel, shape.strides, shape.dilations, before),
        count_include_pad=include_pad,
        padded=(shape.size[0] + before[0] + after[0], shape.size[1] + before[1] + after[1]),
        x=x,
        body=body,
    )
    return Case(call.name, call, maker.inputs, maker.symbols)


def not_a_number() -> Case:
    """A maximum over NaN is NaN."""
    case = _case(same(Shape((5, 6), 5, 5, (3, 3))), "max", note="NaN")
    assert isinstance(case.call, Pool)
    case.inputs[case.call.x.tensor][37] = float("nan")
    return case


SHAPES = (
    *(Shape((6, 8), c, c, (2, 2), (2, 2)) for c in (1, 3, 4, 8, 13)),
    *(same(Shape((7, 7), 6, 6, (3, 3), (s, s))) for s in (1, 2)),
    same(Shape((9, 14), 6, 6, (5, 5))),
    same(Shape((7, 23), 5, 5, (3, 3), (2, 2))),
    same(Shape((9, 10), 5, 5, (3, 2), (2, 3), (2, 2))),
    Shape((6, 6), 4, 4, (3, 3), (2, 2), before=(0, 0), after=(1, 1)),
    Shape((5, 7), 4, 4, (3, 3), (2, 2), before=(1, 0), after=(2, 2), batch=2),
    Shape((5, 6), 9, 9, (5, 6)),
    Shape((1, 12), 5, 5, (1, 3), (1, 2), before=(0, 1), after=(0, 1)),
    Shape((1, 6), 5, 5, (2, 3), dilations=(2, 1), before=(1, 1), after=(1, 1)),  # no window meets an element
)


def cases() -> Iterator[Case]:
    """All cases; names are unique."""
    modes: tuple[Mode, ...] = ("max", "average")
    for shape in SHAPES:
        for mode in modes:
            yield _case(shape, mode)
            yield _case(shape, mode, layout=NCHW, order=NCHW, note="NCHW")
        yield _case(shape, "average", include_pad=True)
        # the last window reaches beyond the padded input, as ceil_mode has it
        beyond = replace(shape, out_extra=(1, 1), strides=(shape.strides[0] + 1, shape.strides[1] + 1))
        yield _case(beyond, "average", include_pad=True, note="one more")
    for epilogue in EPILOGUES:
        for mode in modes:
            yield _case(same(Shape((5, 6), 7, 7, (3, 3))), mode, epilogue=epilogue, note=epilogue.__name__)
    yield _case(same(Shape((5, 6), 7, 7, (3, 3))), "max", part=True, note="part of a tensor")
    for dtype in (DType.F16, DType.F64, DType.I8, DType.U8, DType.I32, DType.I64):
        yield _case(same(Shape((5, 6), 7, 7, (3, 3))), "max", dtype=dtype, note=repr(dtype))
        if dtype.is_float:
            yield _case(same(Shape((5, 6), 7, 7, (3, 3))), "average", dtype=dtype, note=repr(dtype))
    for dtype in (DType.I8, DType.U8):
        for channels in (16, 37):
            shape = same(Shape((5, 6), channels, channels, (3, 3), (2, 1)))
            yield _case(shape, "max", dtype=dtype, part=channels == 37, note=repr(dtype))
        shape = replace(SHAPES[-1], channels=18, out_channels=18)
        yield _case(shape, "max", dtype=dtype, note=repr(dtype))
    yield not_a_number()
    height, width = symbol("height"), symbol("width")
    for values in ((2, 3), (9, 30)):
        symbols = dict(zip(("height", "width"), values, strict=True))
        shape = Shape((height, width), 3, 3, (3, 3), (2, 2), before=(1, 1), after=(1, 1))
        yield _case(shape, "average", epilogue=bias_relu, symbols=symbols, note=f"symbols {values}")
