"""Rows of what selects by data, so that sizes of results hang on them, and of what makes tensors of sizes."""

from __future__ import annotations

from tests.fuzz.rows import Arg, Row

_ANY = ("float32", "float32", "int32", "int64", "bool", "uint8", "float16")
_ORDERED = ("float32", "int64", "int64", "int8", "float32")

ROWS = (
    *(Row("NonZero", (Arg(dims, _ANY),), hidden=True, weight=0.3) for dims in ("a", "a b", "a b c")),
    *(
        Row(
            "Compress",
            (Arg("a b", _ANY), Arg(name, ("bool",))),
            {"axis": (axis, axis - 2)},
            hidden=True,
            weight=0.3,
        )
        for axis, name in enumerate("ab")
    ),
    Row("Compress", (Arg("a b", _ANY), Arg("a*b", ("bool",))), hidden=True, weight=0.3),
    Row(
        "Unique",
        (Arg("a", _ORDERED),),
        {"sorted": (None, 0, 1)},
        outputs=(1, 2, 4),
        hidden=True,
        defined=True,
    ),
    Row(
        "Unique",
        (Arg("a b", _ORDERED),),
        {"axis": (None, 0, 1, -1), "sorted": (0, 1)},
        outputs=(1, 4),
        hidden=True,
        defined=True,
    ),
    Row(
        "NonMaxSuppression",
        (
            Arg("n m 4", ("float32",), kind="positive"),
            Arg("n c m", ("float32",), kind="any"),
            Arg("1", ("int64",), options=(1, 2, 5)),
            Arg("1", ("float32",), options=(0.2, 0.5, 0.9), share=0.8),
            Arg("1", ("float32",), options=(0.0, 0.5), share=0.7),
        ),
        {"center_point_box": (None, 1)},
        {"m": (1, 3, 6, 9)},
        hidden=True,
    ),
    Row(
        "EyeLike",
        (Arg("a b", ("float32", "int32", "float16")),),
        {"k": (None, 1, -2), "dtype": (None, 1, 7)},
        weight=0.2,
    ),
    *(
        Row(
            "Range",
            tuple(Arg("", (dtype,), options=o) for o in ((0, 2), (7, 10), (1, 3))),
            weight=0.15,
        )
        for dtype in ("int64", "int32", "float32")
    ),
    Row("ConstantOfShape", (Arg("[a 3]"),), weight=0.2),
    Row("Size", (Arg("a b c", _ANY),), weight=0.3),
    Row("Shape", (Arg("a b c", _ANY),), {"start": (None, 1, -2), "end": (None, 2, -1)}, weight=0.3),
    Row("CastLike", (Arg("a b"), Arg("", ("float16", "float32", "bool"))), weight=0.3),
    Row("Dropout", (Arg("a b"),), outputs=(1, 2), weight=0.2),
)
