"""Gathers and scatters, one-hot rows, and images read between their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.fuzz.known import Array, Known, UnfitError
from tests.fuzz.maker import Maker

WEIGHTS = {"gather": 2.5, "scatter": 1.5, "scatter_nd": 1.5, "resize": 2.0}
COORDINATES = (
    *("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"),
    *("half_pixel_symmetric", "tf_crop_and_resize"),
)


def _indices(make: Maker, size: int, shape: tuple[int, ...], dtype: str = "int64") -> Known:
    """Indices within an axis, from either end, constant or fed."""
    if size < 1:
        raise UnfitError
    count = int(np.prod(shape))
    drawn = np.array([make.pick.randrange(-size, size) for _ in range(count)], dtype).reshape(shape)
    if make.chance(0.5):
        return make.constant(drawn)
    return make.fed(Known(make.name("i"), (drawn,) * make.runs))


def _shape(make: Maker, low: int = 0, high: int = 2) -> tuple[int, ...]:
    return tuple(make.pick.choice((1, 2, 3, 5)) for _ in range(make.pick.randint(low, high)))


def gather(make: Maker) -> None:
    """Along an axis."""
    x = make.one(make.any_of(), rank=(1, 4))
    axis = make.axis(x)
    make.apply(
        "Gather",
        x,
        _indices(make, min(x.dims[axis]), _shape(make), make.choice(("int32", "int64"))),
        axis=axis,
    )


def gather_elements(make: Maker) -> None:
    """An index for each element."""
    x = make.one(make.any_of(), rank=(1, 3), where=lambda v: v.static and 0 not in v.shape)
    axis = make.axis(x)
    shape = tuple(make.pick.randint(1, 6) if i == axis % x.rank else n for i, n in enumerate(x.shape))
    make.apply("GatherElements", x, _indices(make, x.shape[axis], shape), axis=axis)


def gather_nd(make: Maker) -> None:
    """Tuples of indices, for all or for each of a batch."""
    x = make.one(make.any_of(), rank=(1, 4))
    batch = make.pick.randint(0, x.rank - 1) if x.static and make.chance(0.3) else 0
    depth = make.pick.randint(1, x.rank - batch)
    rows = (*x.shape[:batch], *_shape(make, 1, 2))
    sizes = [min(d) for d in x.dims[batch : batch + depth]]
    make.apply("GatherND", x, make.ints(_tuples(make, sizes, rows)), batch_dims=batch)


def scatter(make: Maker) -> None:
    """Single elements; without a reduction indices are distinct, as ONNX wants."""
    how = make.choice(("none", "add", "mul", "max", "min"))
    x = make.one(_scattered(make, how), rank=(1, 3), where=lambda v: v.static and 0 not in v.shape)
    axis = make.axis(x) % x.rank
    shape = tuple(make.pick.randint(1, n) for n in x.shape)
    if how == "none":
        along = np.array(make.pick.sample(range(x.shape[axis]), shape[axis]))
        index = np.broadcast_to(np.expand_dims(along, [i for i in range(x.rank) if i != axis]), shape)
        indices = make.ints(index)
    else:
        indices = _indices(make, x.shape[axis], shape)
    updates = make.fresh([(n,) * make.runs for n in shape], x.dtype)
    make.apply("ScatterElements", x, indices, updates, axis=axis, reduction=how)


def scatter_nd(make: Maker) -> None:
    """Slices or elements; with a reduction several may go to one place."""
    how = make.choice(("none", "add", "mul", "max", "min"))
    x = make.one(_scattered(make, how), rank=(1, 3), where=lambda v: v.static and 0 not in v.shape)
    if how == "none":
        depth = 1
        places = np.reshape(make.pick.sample(range(x.shape[0]), make.pick.randint(1, x.shape[0])), (-1, 1))
    else:
        depth = make.pick.randint(1, x.rank)
        places = _tuples(make, x.shape[:depth], _shape(make, 1, 2))
    updates = make.fresh([(n,) * make.runs for n in (*places.shape[:-1], *x.shape[depth:])], x.dtype)
    make.apply("ScatterND", x, make.ints(places), updates, reduction=how)


def _scattered(make: Maker, how: str) -> tuple[str, ...]:
    """Dtypes of what is scattered; bools have no sum."""
    return make.any_of() if how == "none" else (make.dtype, *make.ints_of())


def _tuples(make: Maker, sizes: Sequence[int], rows: tuple[int, ...]) -> Array:
    """Indices of several axes at once."""
    if 0 in sizes:
        raise UnfitError
    drawn = [[make.pick.randrange(-n, n) for n in sizes] for _ in range(int(np.prod(rows)))]
    return np.reshape(np.array(drawn, np.int64), (*rows, len(sizes)))


def one_hot(make: Maker) -> None:
    """Rows with one element set."""
    depth = make.pick.randint(1, 6)
    indices = _indices(make, depth, _shape(make, 1, 2))
    values = make.constant([0, 1], make.dtype)
    make.apply("OneHot", indices, make.constant(depth, "int64"), values, axis=make.choice((-1, 0)))


def embedding(make: Maker) -> None:
    """Rows of a table by indices that are fed."""
    rows, width = make.pick.randint(1, 9), make.size() or 3
    table = make.constant(make.array((rows, width), make.dtype))
    make.apply("Gather", table, _indices(make, rows, _shape(make, 1, 2)), axis=0)


def resize(make: Maker) -> None:
    """By factors or to sizes, of the last axes."""
    x = make.one(rank=(3, 5), where=lambda v: all(v.fixed(i) for i in range(2, v.rank)) and 0 not in v.shape)
    mode = make.choice(("nearest", "linear", "linear", "cubic"))
    if mode != "nearest":
        make.defined(x)  # neighbours of weight 0 times infinity
    if mode == "cubic" and x.rank != 4:
        raise UnfitError
    moved = x.rank - 2
    given: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": make.choice(COORDINATES)}
    region = None
    if mode == "nearest":
        given["nearest_mode"] = make.choice(("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"))
    else:
        given["antialias"] = make.choice((None, None, 1))
    if mode == "cubic":
        given |= {"exclude_outside": make.choice((None, 1)), "cubic_coeff_a": make.choice((None, -0.5))}
    if given["coordinate_transformation_mode"] == "tf_crop_and_resize":
        ends = [(0.0, 0.0, *[0.1] * moved), (1.0, 1.0, *[make.choice((0.8, 1.2))] * moved)]
        region = make.constant(np.concatenate(ends), "float32")
        given["extrapolation_value"] = 0.75
    if make.chance(0.5):
        factors = [1.0, 1.0, *(make.choice((0.5, 1.0, 2.0, 1.5, 0.3, 2.6)) for _ in range(moved))]
        make.apply("Resize", x, region, make.constant(factors, "float32"), **given)
    elif x.static:
        sizes = [*x.shape[:2], *(make.pick.randint(1, 9) for _ in range(moved))]
        if region is None and make.chance(0.4):  # the last axes alone, perhaps with one factor for both
            given["axes"] = list(range(2, x.rank))
            given["keep_aspect_ratio_policy"] = make.choice(("stretch", "not_larger", "not_smaller"))
            sizes = sizes[2:]
        make.apply("Resize", x, region, None, make.ints(sizes), **given)
