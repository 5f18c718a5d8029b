"""Convolutions and pools."""

from __future__ import annotations

import numpy as np

from tests.fuzz.known import Known, UnfitError
from tests.fuzz.maker import Maker

WEIGHTS = {"conv": 3.0, "pool": 2.0, "max_roi_pool": 0.3}


def _image(make: Maker, low: int = 3, high: int = 4) -> Known:
    """A value with channels, there already, or new and large enough for most windows."""
    if make.chance(0.4):
        sides = [(make.pick.randint(3, 9),) * make.runs for _ in range(make.pick.randint(low, high) - 2)]
        return make.fresh([make.dim(), (make.size() or 1,) * make.runs, *sides], weight=0)
    most = 5 if make.chance(0.1) and low == 3 else high
    return make.one(rank=(low, most), where=lambda v: v.fixed(1) and 0 not in v.shape)


def _window(make: Maker, x: Known) -> dict[str, object]:
    """Strides, dilations and padding for the axes behind the channels."""
    rank = x.rank - 2
    given: dict[str, object] = {}
    if make.chance(0.5):
        given["strides"] = [make.pick.randint(1, 3) for _ in range(rank)]
    if make.chance(0.25):
        given["dilations"] = [make.pick.randint(1, 2) for _ in range(rank)]
    match make.choice(("none", "pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID")):
        case "pads":
            given["pads"] = [make.pick.randint(0, 2) for _ in range(2 * rank)]
        case "none":
            pass
        case auto:
            given["auto_pad"] = auto
    return given


def _sides(make: Maker, x: Known) -> list[int]:
    return [make.pick.choice((1, 1, 2, 3, 3, 5)) for _ in range(x.rank - 2)]


def conv(make: Maker) -> None:
    """Plain, in groups, or with a filter per channel."""
    if make.dtype == "float64":
        raise UnfitError
    x = _image(make)
    channels = x.shape[1]
    groups = make.choice([1, 1, channels, *(g for g in (2, 3, 4) if channels % g == 0)])
    filters = groups * make.pick.choice((1, 1, 2, 3, 5))
    sides = _sides(make, x)
    weights = make.fresh([(n,) * make.runs for n in (filters, channels // groups, *sides)], weight=0.85)
    make.defined(weights)  # zeros of the padding times infinity
    bias = make.fresh([(filters,) * make.runs], weight=0.9) if make.chance(0.6) else None
    given = _window(make, x)
    _roomy(x, sides, given)
    made = make.apply("Conv", x, weights, *([bias] if bias else []), group=groups, **given)
    if make.chance(0.4):
        make.apply(make.choice(("Relu", "Sigmoid", "HardSwish", "Neg")), made)


def pool(make: Maker) -> None:
    """Largest and mean of windows, rounded down or up."""
    if make.dtype == "float16":
        raise UnfitError
    x = _image(make)
    sides = _sides(make, x)
    op = make.choice(("MaxPool", "MaxPool", "AveragePool", "AveragePool", "LpPool"))
    make.defined(x)
    given = _window(make, x)
    if op == "LpPool":
        given.pop("dilations", None)
    if op == "AveragePool" and make.chance(0.5):
        given["count_include_pad"] = 1
    if make.chance(0.3) and "auto_pad" not in given:
        given["ceil_mode"] = 1
        if make.chance(0.2):
            given["strides"] = [make.pick.randint(4, 7) for _ in sides]
    if make.chance(0.2) and op == "MaxPool":
        given["dilations"] = [2] * len(sides)
    pads = given.get("pads")
    if isinstance(pads, list):  # ONNX Runtime wants pads shorter than the window
        given["pads"] = [min(p, s - 1) for p, s in zip(pads, sides * 2, strict=True)]
    _roomy(x, sides, given)
    make.apply(op, x, kernel_shape=sides, **given)


def pooled_whole(make: Maker) -> None:
    """Over all that is behind the channels."""
    x = make.one(rank=(3, 4), where=lambda v: 0 not in v.shape)
    make.defined(x)
    make.apply(make.choice(("GlobalAveragePool", "GlobalMaxPool")), x)


def _roomy(x: Known, sides: list[int], given: dict[str, object]) -> None:
    """No window is larger than what it moves over, but where sizes are rounded up."""
    if given.get("auto_pad", "VALID") != "VALID" or "ceil_mode" in given:
        return
    pads = given.get("pads", [0] * 2 * len(sides))
    dilations = given.get("dilations", [1] * len(sides))
    assert isinstance(pads, list)
    assert isinstance(dilations, list)
    for axis, side in enumerate(sides):
        room = min(x.dims[axis + 2]) + pads[axis] + pads[axis + len(sides)]
        if (side - 1) * dilations[axis] + 1 > room:
            raise UnfitError


def separable(make: Maker) -> None:
    """A filter per channel, a norm, an activation and a 1x1 convolution, as small image models have them."""
    if make.dtype == "float64":
        raise UnfitError
    x = _image(make, 4)
    channels = x.shape[1]
    depth = make.constant(make.array((channels, 1, 3, 3), make.dtype, "any"))
    made = make.apply(
        "Conv", x, depth, group=channels, pads=[1, 1, 1, 1], strides=[make.pick.randint(1, 2)] * 2
    )
    scale, bias, mean = (make.constant(make.array((channels,), make.dtype, "any")) for _ in range(3))
    spread = make.constant(np.abs(make.array((channels,), make.dtype, "positive")))
    made = make.apply("BatchNormalization", made, scale, bias, mean, spread)
    made = make.apply("Clip", made, make.constant(0, make.dtype), make.constant(6, make.dtype))
    point = make.constant(make.array((make.pick.choice((1, 3, 8)), channels, 1, 1), make.dtype, "any"))
    made = make.apply("Conv", made, point)
    if made.dims == x.dims and make.chance(0.7):
        make.apply("Add", x, made)


def max_roi_pool(make: Maker) -> None:
    """Regions of images, also malformed ones and such as lie outside; halves, which round away from zero."""
    x = make.one(rank=(4, 4), where=lambda v: v.fixed(0) and 0 not in v.shape)
    make.defined(x)
    corners = make.array((make.choice((1, 2, 5)), 4), "float64", "grid") * 8
    images = [[make.pick.randrange(x.shape[0])] for _ in corners]
    rois = np.concatenate([images, np.round(corners) / 2 + 2], axis=1)
    bins = [make.choice((1, 2, 3, 4)) for _ in range(2)]
    fed = make.chance(0.5)
    given = np.asarray(rois, x.dtype)
    regions = make.fed(Known(make.name("x"), (given,) * make.runs)) if fed else make.constant(given)
    make.apply("MaxRoiPool", x, regions, pooled_shape=bins, spatial_scale=make.choice((None, 0.5, 1.0, 2.0)))
