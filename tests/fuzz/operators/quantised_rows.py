"""Rows of operators on 8-bit integers with scales and zero points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from tests.fuzz.rows import Arg, Row

_BYTES = ("uint8", "int8")
_SCALES = (0.0625, 0.11, 0.02)


def _levels(dtype: str, dims: str = "") -> tuple[Arg, Arg]:
    """A scale and a zero point."""
    return Arg(dims, ("float32",), options=_SCALES), Arg(dims, (dtype,), options=(0, 3, 100))


_WINDOWS = {
    "group": "g",
    "strides": (None, [2, 1]),
    "pads": (None, [1, 1, 1, 1], [0, 1, 0, 0]),
    "dilations": (None, [1, 2]),
}
_SIZES: dict[str, Sequence[int]] = {
    "g": (1, 1, 2, 4),
    "c": (1, 2, 3),
    "m": (1, 3, 4),
    "k": (1, 2, 3),
    "x": (3, 5, 6),
    "y": (5, 4),
    "l": (1, 3),
}


def _conv(left: str, right: str) -> Row:
    args = (
        *(Arg("b g*c x y", (left,)), *_levels(left)),
        *(Arg("g*m c k l", (right,), weight=0.9), Arg("", ("float32",), options=_SCALES)),
        Arg("", (right,), options=(0,) if right == "int8" else (0, 5)),
        *_levels(left),
        Arg("g*m", ("int32",), below="1000", signed=True, share=0.6),
    )
    return Row("QLinearConv", args, _WINDOWS, _SIZES, weight=0.3)


ROWS = (
    *(_conv(left, right) for left, right in (("uint8", "uint8"), ("uint8", "int8"), ("int8", "int8"))),
    Row(
        "QLinearConv",
        (
            *(Arg("b c x y", ("uint8",)), *_levels("uint8")),
            Arg("m c 3 3", ("int8",), weight=1.0),
            Arg("m", ("float32",), kind="positive", weight=1.0),
            Arg("m", ("int8",), options=(0,)),
            *_levels("uint8"),
        ),
        {"pads": ([1, 1, 1, 1],)},
        {"c": (1, 3), "m": (1, 4, 5)},
        weight=0.3,
    ),
    *(
        Row(
            "QLinearMatMul",
            (
                *(Arg(dims, (left,)), *_levels(left)),
                *(Arg("k n", (right,), weight=0.7), *_levels(right)),
                *_levels(left),
            ),
            weight=0.2,
        )
        for left, right, dims in product(_BYTES, _BYTES, ("m k", "b m k"))
    ),
    *(
        Row(
            "ConvInteger",
            (
                Arg("b g*c x y", (left,)),
                Arg("g*m c k l", ("uint8",), weight=0.9),
                Arg("", (left,), options=(0, 3, 100), share=0.7),
                Arg("", ("uint8",), options=(0, 5), share=0.7),
            ),
            _WINDOWS,
            _SIZES,
            weight=0.3,
        )
        for left in _BYTES
    ),
    Row(
        "MatMulInteger",
        (
            Arg("b m k", ("uint8",)),
            Arg("b k n", ("int8",), weight=0.3),
            Arg("", ("uint8",), options=(0, 128, 7), share=0.7),
            Arg("", ("int8",), options=(0, 3), share=0.5),
        ),
        {},
        {"n": (1, 3, 9, 17), "k": (1, 5, 33)},
        weight=0.4,
    ),
    *(
        Row("MatMul", (Arg("m k", (dtype,)), Arg("k n", (dtype,))), weight=0.2)
        for dtype in ("int32", "uint32", "int64", "uint64")
    ),
)
