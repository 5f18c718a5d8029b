"""Rows of image operators: transposed and deformed convolutions, pools, places to read at."""

from __future__ import annotations

from tests.fuzz.rows import Arg, Row

_SIDES = (1, 2, 3)
_GROUPED = {"g": (1, 1, 2, 3), "f": (1, 2, 3), "k": _SIDES, "l": _SIDES}
_ROOMY = {"x": (3, 5, 7), "y": (5, 6, 9)}  # no window is larger than what it moves over
_WHOLE = ("uint8", "int8")


def _transposed(axes: str, kernel: str, attrs: dict[str, object]) -> Row:
    args = (
        Arg(f"b g*c {axes}"),
        Arg(f"g*c f {kernel}", weight=0.9),
        Arg("g*f", weight=1.0, share=0.5),
    )
    given = {"group": "g", "dilations": (None,), **attrs}
    return Row("ConvTranspose", args, given, {**_GROUPED, "c": (1, 2, 3)}, weight=0.6, defined=True)


ROWS = (
    _transposed(
        "x", "k", {"strides": (None, [2], [3]), "pads": (None, [0, 1], [1, 1]), "dilations": (None, [2])}
    ),
    _transposed(
        "x y",
        "k l",
        {
            "strides": ([2, 2], [1, 3], [3, 2]),
            "pads": (None, [0, 1, 1, 0], [1, 1, 1, 1]),
            "output_padding": (None, [1, 0], [1, 1]),
        },
    ),
    _transposed("x y", "k l", {"strides": (None, [2, 1]), "dilations": (None, [2, 1], [2, 2])}),
    _transposed(
        "x y", "k l", {"strides": ([2, 2], [1, 2]), "auto_pad": ("SAME_UPPER", "SAME_LOWER", "VALID")}
    ),
    _transposed("x y z", "k l 2", {"strides": (None, [2, 1, 2]), "pads": (None, [1, 0, 0, 0, 0, 1])}),
    Row(
        "DeformConv",
        (
            Arg("n g*c x y"),
            Arg("m*g c 3 3", weight=0.8),
            Arg("n 18 x y", kind="any"),
            Arg("m*g", share=0.5),
            Arg("n 9 x y", share=0.5),
        ),
        {"group": "g", "pads": ([1, 1, 1, 1],)},
        {"g": (1, 2), "c": (1, 2), "m": (1, 3), "x": (2, 5), "y": (3, 4), "n": (1, 2)},
        weight=0.3,
        defined=True,
    ),
    Row(
        "MaxPool",
        (Arg("b c x y", ("float32", "float32", *_WHOLE)),),
        {
            "kernel_shape": ([2, 2], [3, 2], [1, 3]),
            "strides": (None, [2, 2], [1, 3]),
            "pads": (None, [1, 0, 0, 1], [0, 1, 0, 0]),
            "ceil_mode": (None, 1),
            "storage_order": (None, 1),
            "dilations": (None, [1, 2]),
        },
        outputs=(1, 2),
        sizes=_ROOMY,
        defined=True,
    ),
    Row(
        "LpPool",
        (Arg("b c x y"),),
        {
            "kernel_shape": ([2, 3],),
            "strides": (None, [2, 2]),
            "pads": (None, [1, 0, 1, 0]),
            "p": (1, 2, 3),
            "ceil_mode": (None, 1),
            "dilations": (None, [2, 1]),
        },
        sizes=_ROOMY,
        defined=True,
        weight=0.3,
    ),
    Row(
        "AveragePool",
        (Arg("b c x y"),),
        {
            "kernel_shape": ([2, 2], [3, 2]),
            "strides": (None, [2, 3]),
            "pads": (None, [1, 0, 0, 1], [1, 1, 1, 1]),
            "dilations": (None, [2, 1]),
            "ceil_mode": (None, 1),
            "count_include_pad": (None, 1),
        },
        sizes=_ROOMY,
        defined=True,
    ),
    Row(
        "MaxUnpool",
        (Arg("b c x y"), Arg("b c x y", ("int64",), below="x*y", weight=1.0)),
        {"kernel_shape": ([2, 2],), "strides": ([2, 2],)},
        {"b": (1,), "c": (1,), "x": (1,), "y": (1,)},  # else places would meet
        weight=0.1,
    ),
    Row(
        "RoiAlign",
        (Arg("n c x y"), Arg("r 4", kind="positive"), Arg("r", ("int64",), below="n")),
        {
            "mode": ("avg", "max"),
            "output_height": (1, 3),
            "output_width": (2,),
            "sampling_ratio": (0, 2),
            "spatial_scale": (1.0, 0.5, 2.0),
            "coordinate_transformation_mode": ("half_pixel", "output_half_pixel"),
        },
        defined=True,
    ),
    Row(
        "GridSample",
        (Arg("n c x y"), Arg("n a b 2", kind="any")),
        {
            "mode": ("linear", "nearest", "cubic"),
            "padding_mode": ("zeros", "border", "reflection"),
            "align_corners": (0, 1),
        },
        weight=1.0,
        defined=True,
    ),
    Row(
        "GridSample",
        (Arg("n c x y z"), Arg("n a b 2 3", kind="any")),
        {
            "mode": ("linear", "nearest"),
            "padding_mode": ("zeros", "border", "reflection"),
            "align_corners": (0, 1),
        },
        {"n": (1, 2), "x": (2, 3), "y": (1, 4), "z": (2, 3), "c": (1, 2)},
        weight=0.3,
        defined=True,
    ),
    Row(
        "AffineGrid",
        (Arg("n 2 3"), Arg("[n 1 h w]")),
        {"align_corners": (0, 1)},
        {"h": (1, 3), "w": (4,), "n": (1, 2)},
    ),
    Row(
        "Col2Im",
        (Arg("n c*4 12"), Arg("[4 5]"), Arg("[2 2]")),
        sizes={"c": (1, 2)},
        weight=0.3,
    ),
    Row(
        "Col2Im",
        (Arg("n c*6 20"), Arg("[5 6]"), Arg("[3 2]")),
        {"pads": ([0, 1, 1, 0],), "strides": (None,), "dilations": ([1, 2],)},
        sizes={"c": (1, 2)},
        weight=0.2,
    ),
    Row("CenterCropPad", (Arg("a b c"), Arg("[3 6]")), {"axes": ([0, 1], [2, 1], [-1, -3])}),
    Row("GlobalLpPool", (Arg("b c x y"),), {"p": (None, 1, 3)}, weight=0.3, defined=True),
    Row("MeanVarianceNormalization", (Arg("b c x y"),), {"axes": (None, [1], [0, 2, 3])}, weight=0.3),
)
