"""What moves elements and computes nothing."""

from __future__ import annotations

import numpy as np

from tests.fuzz.known import Known, UnfitError
from tests.fuzz.maker import Maker

WEIGHTS = {"transpose": 3.0, "reshape": 2.5, "sliced": 3.0, "concat": 2.5, "split": 2.0, "pad": 1.5}


def _any(make: Maker, low: int = 1, high: int = 5) -> Known:
    return make.one(make.any_of(), rank=(low, high))


def transpose(make: Maker) -> None:
    """Any permutation."""
    x = _any(make, 2)
    make.apply("Transpose", x, perm=make.pick.sample(range(x.rank), x.rank))


def reshape(make: Maker) -> None:
    """Axes merged or split; sizes that hang on symbols are copied by 0 or found by -1."""
    x = _any(make)
    dims = list(x.dims)
    moving = [i for i in range(x.rank) if not x.fixed(i)]
    if not moving:
        total = int(np.prod(x.shape))
        target: list[int] = []
        while total > 1 and len(target) < 4:
            factor = make.choice([f for f in (1, 2, 3, 4, 5, 7, 8, total) if total % f == 0])
            target.append(factor)
            total //= factor
        target.append(total)
        make.pick.shuffle(target)
        if make.chance(0.4) and 0 not in target:
            target[make.pick.randrange(len(target))] = -1
        make.apply("Reshape", x, make.ints(target))
        return
    at = make.pick.randrange(x.rank)
    kept = [0 if not x.fixed(i) or make.chance(0.3) else dims[i][0] for i in range(at)]
    rest = [i for i in range(at, x.rank) if x.fixed(i)]
    tail = [int(np.prod([dims[i][0] for i in rest], dtype=int))] if rest and make.chance(0.6) else []
    make.apply("Reshape", x, make.ints([*kept, -1, *tail]))


def reshaped_by_shape(make: Maker) -> None:
    """A target that is computed from sizes, as exporters write it."""
    x = _any(make, 2)
    sizes = make.apply("Shape", x)
    order = make.pick.sample(range(x.rank), x.rank)
    target = make.apply("Gather", sizes, make.ints(order), axis=0)
    if make.chance(0.5):
        make.apply("Reshape", x, target)
    else:
        make.apply("Reshape", make.apply("Transpose", x, perm=order), make.apply("Identity", target))


def ranks(make: Maker) -> None:
    """Axes of size 1 come and go."""
    x = _any(make, 0, 4)
    ones = [i for i, d in enumerate(x.dims) if set(d) == {1}]
    if ones and make.chance(0.5):
        make.apply("Squeeze", x, make.ints(make.pick.sample(ones, make.pick.randint(1, len(ones)))))
    elif make.chance(0.3) and x.rank:
        make.apply("Flatten", x, axis=make.pick.randint(0, x.rank))
    else:
        make.apply("Unsqueeze", x, make.ints([make.pick.randint(0, x.rank)]))


def sliced(make: Maker) -> None:
    """Any steps, from either end; bounds past the ends."""
    x = _any(make)
    axes = make.pick.sample(range(x.rank), make.pick.randint(1, min(2, x.rank)))
    starts, ends, steps = [], [], []
    for axis in axes:
        size = min(x.dims[axis])
        step = make.choice((1, 1, 1, 2, 3, -1, -2))
        if step > 0:
            starts.append(make.choice((0, make.pick.randint(0, max(size - 1, 0)), -max(size, 1))))
            ends.append(make.choice((1000, max(size, 1), np.iinfo(np.int64).max)))
        else:
            starts.append(make.choice((-1, 1000, max(size - 1, 0))))
            ends.append(make.choice((-1000, np.iinfo(np.int64).min + 1)))
        steps.append(step)
    make.apply("Slice", x, make.ints(starts), make.ints(ends), make.ints(axes), make.ints(steps))


def concat(make: Maker) -> None:
    """Of values that agree but in one axis, the same one among them perhaps twice."""
    x = _any(make)
    axis = make.axis(x)
    at = axis % x.rank
    fits = [
        v
        for v in make.values
        if v.dtype == x.dtype
        and v.rank == x.rank
        and all(a == b for i, (a, b) in enumerate(zip(v.dims, x.dims, strict=True)) if i != at)
    ]
    others = [make.pick.choice([x, *fits]) for _ in range(make.pick.randint(1, 2))]
    if make.chance(0.4):
        dims = [make.dim() if i == at else d for i, d in enumerate(x.dims)]
        if all(map(make.nameable, dims)):
            others.append(make.fresh(dims, x.dtype))
    parts = [x, *others]
    make.pick.shuffle(parts)
    make.apply("Concat", *parts, axis=axis)


def split(make: Maker) -> None:
    """In parts of given or equal sizes; not all may be read."""
    x = _any(make)
    axis = make.axis(x)
    if not x.fixed(axis) or x.shape[axis] < 2:
        raise UnfitError
    size = x.shape[axis]
    if make.chance(0.4):
        parts = make.pick.randint(2, min(3, size))
        make.emit("Split", [x], parts, axis=axis, num_outputs=parts)
        return
    first = make.pick.randint(1, size - 1)
    make.emit("Split", [x, make.ints([first, size - first])], 2, axis=axis)


def pad(make: Maker) -> None:
    """By a constant, mirrored, by the edge or around, perhaps of some axes alone; negative ones cut."""
    x = _any(make, 1, 4)
    mode = make.choice(("constant", "constant", "reflect", "edge", "wrap"))
    axes = make.pick.sample(range(x.rank), make.pick.randint(1, x.rank)) if make.chance(0.3) else None
    pads = []
    for _ in range(2):
        for dim in [x.dims[a] for a in axes or range(x.rank)]:
            most = 2 if mode in ("constant", "edge") else min(2, min(dim) - 1)
            least = -1 if mode == "constant" and min(dim) > 2 else 0
            pads.append(make.pick.randint(least, most) if make.chance(0.6) and most > 0 else 0)
    number = make.constant(make.choice((0, 1.5, -1) if x.floating else (0, 1)), x.dtype)
    filled = number if mode == "constant" and make.chance(0.7) else None
    listed = make.ints([a - x.rank if make.chance(0.5) else a for a in axes]) if axes else None
    make.apply("Pad", x, make.ints(pads), filled, listed, mode=mode)


def expand(make: Maker) -> None:
    """Broadcast to a shape, or repeated."""
    x = _any(make, 1, 3)
    if make.chance(0.5):
        target = [make.size() if set(d) == {1} else d[0] if x.fixed(i) else 1 for i, d in enumerate(x.dims)]
        make.apply("Expand", x, make.ints([*([2] if make.chance(0.3) else []), *target]))
    else:
        make.apply("Tile", x, make.ints([make.pick.randint(1, 3) for _ in x.dims]))


def expanded_like(make: Maker) -> None:
    """Broadcast to the shape of another value."""
    x = _any(make, 1, 4)
    other = make.broadcast(x)
    make.apply("Expand", other, make.apply("Shape", x))


def depths(make: Maker) -> None:
    """Blocks to channels and back."""
    one = (1,) * make.runs
    if make.chance(0.5):
        x = make.fresh([make.dim(), *((n,) * make.runs for n in (make.size() or 1, 4, 6))], weight=0)
        make.apply("SpaceToDepth", x, blocksize=2)
    else:
        x = make.fresh(
            [make.dim(), (8,) * make.runs, make.dim(), make.choice((one, (3,) * make.runs))], weight=0
        )
        make.apply("DepthToSpace", x, blocksize=2, mode=make.choice(("DCR", "CRD")))


def triangle(make: Maker) -> None:
    """One side of a diagonal."""
    x = _any(make, 2, 4)
    make.apply("Trilu", x, make.constant(make.pick.randint(-2, 2), "int64"), upper=make.pick.randint(0, 1))


def reversed_(make: Maker) -> None:
    """The first elements of each row turned around."""
    x = make.one(make.any_of(), rank=(2, 4), where=lambda v: v.static and 0 not in v.shape)
    batch = make.pick.randint(0, 1)
    lengths = [make.pick.randint(1, x.shape[1 - batch]) for _ in range(x.shape[batch])]
    make.apply("ReverseSequence", x, make.ints(lengths), batch_axis=batch, time_axis=1 - batch)
