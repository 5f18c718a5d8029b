"""Gathers and scatters, one-hot rows, and images read between their pixels."""

from __future__ import annotations

import numpy as np

from tests.fuzz.maker import Known, Maker, UnfitError

WEIGHTS = {"gather": 2.5, "scatter": 1.5}


def _indices(make: Maker, size: int, shape: tuple[int, ...], dtype: str = "int64") -> Known:
    """Indices within an axis, from either end, constant or fed."""
    if size < 1:
        raise UnfitError
    count = int(np.prod(shape))
    drawn = np.array([make.pick.randrange(-size, size) for _ in range(count)], dtype).reshape(shape)
    if make.chance(0.5):
        return make.constant(drawn)
    known = Known(make.name("i"), (drawn,) * make.runs)
    make.inputs[known.name] = known
    return known


def _shape(make: Maker, low: int = 0, high: int = 2) -> tuple[int, ...]:
    return tuple(make.pick.choice((1, 2, 3, 5)) for _ in range(make.pick.randint(low, high)))


def gather(make: Maker) -> None:
    """Along an axis."""
    x = make.one((make.dtype, make.dtype, "int32", "int64"), rank=(1, 4))
    axis = make.axis(x)
    make.apply(
        "Gather",
        x,
        _indices(make, min(x.dims[axis]), _shape(make), make.choice(("int32", "int64"))),
        axis=axis,
    )


def gather_elements(make: Maker) -> None:
    """An index for each element."""
    x = make.one(rank=(1, 3), where=lambda v: v.static and v.shape != () and 0 not in v.shape)
    axis = make.axis(x)
    shape = tuple(make.pick.randint(1, 6) if i == axis % x.rank else n for i, n in enumerate(x.shape))
    make.apply("GatherElements", x, _indices(make, x.shape[axis], shape), axis=axis)


def gather_nd(make: Maker) -> None:
    """Tuples of indices."""
    x = make.one(rank=(1, 4))
    depth = make.pick.randint(1, x.rank)
    rows = _shape(make, 1, 2)
    sizes = [min(d) for d in x.dims[:depth]]
    if 0 in sizes:
        raise UnfitError
    count = int(np.prod(rows))
    drawn = [[make.pick.randrange(-n, n) for n in sizes] for _ in range(count)]
    make.apply("GatherND", x, make.ints(np.reshape(drawn, (*rows, depth))))


def scatter(make: Maker) -> None:
    """Single elements; without a reduction indices are distinct, as ONNX wants."""
    x = make.one(rank=(1, 3), where=lambda v: v.static and 0 not in v.shape)
    axis = make.axis(x) % x.rank
    how = make.choice(("none", "add", "mul", "max", "min"))
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
    """Whole slices."""
    x = make.one(rank=(1, 3), where=lambda v: v.static and 0 not in v.shape)
    how = make.choice(("none", "add", "mul", "max"))
    rows = make.pick.sample(range(x.shape[0]), make.pick.randint(1, x.shape[0]))
    updates = make.fresh([(n,) * make.runs for n in (len(rows), *x.shape[1:])], x.dtype)
    make.apply("ScatterND", x, make.ints(np.reshape(rows, (-1, 1))), updates, reduction=how)


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
    x = make.one(rank=(3, 4), where=lambda v: all(v.fixed(i) for i in range(2, v.rank)) and 0 not in v.shape)
    mode = make.choice(("nearest", "linear", "linear", "cubic"))
    if mode != "nearest":
        make.defined(x)  # neighbours of weight 0 times infinity
    if mode == "cubic" and x.rank != 4:
        raise UnfitError
    moved = x.rank - 2
    how = make.choice(("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"))
    nearest = make.choice(("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"))
    given = {"mode": mode, "coordinate_transformation_mode": how}
    if mode == "nearest":
        given["nearest_mode"] = nearest
    if make.chance(0.5):
        scales = make.constant(
            [1.0, 1.0, *(make.choice((0.5, 1.0, 2.0, 1.5)) for _ in range(moved))], "float32"
        )
        make.apply("Resize", x, None, scales, **given)
    elif x.static:
        sizes = make.ints([*x.shape[:2], *(make.pick.randint(1, 9) for _ in range(moved))])
        make.apply("Resize", x, None, None, sizes, **given)


def grid_sample(make: Maker) -> None:
    """Pixels at fed places."""
    x = make.one(rank=(4, 4), where=lambda v: v.fixed(0) and 0 not in v.shape)
    grid = make.fresh([(n,) * make.runs for n in (x.shape[0], 3, 2, 2)], kind="any")
    given = {
        "mode": make.choice(("linear", "nearest")),
        "padding_mode": make.choice(("zeros", "border", "reflection")),
    }
    make.apply("GridSample", x, grid, align_corners=make.pick.randint(0, 1), **given)
