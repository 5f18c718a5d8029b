"""What sums up axes: reductions, softmax, norms, running sums, sorting."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from tests.fuzz.known import Known, UnfitError
from tests.fuzz.maker import Maker

WEIGHTS = {"reduced": 4.0, "softmax": 2.0}
REDUCTIONS = (
    *("ReduceSum", "ReduceSum", "ReduceMean", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"),
    *("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceLogSum"),
)
WHOLE = (
    "ReduceSum",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
    "ReduceL1",
)  # of integers, too


def reduced(make: Maker) -> None:
    """Over some axes, all or none."""
    op = make.choice(REDUCTIONS)
    x = make.one(
        (make.dtype, make.dtype, *make.ints_of()[1:]) if op in WHOLE else (),
        rank=(0 if make.chance(0.1) else 1, 5),
    )
    axes = make.pick.sample(range(x.rank), make.pick.randint(0, x.rank))
    listed = make.ints([a - x.rank if make.chance(0.3) else a for a in axes]) if axes else None
    noop = int(make.chance(0.3))
    make.apply(
        op, x, *([listed] if listed else []), keepdims=make.pick.randint(0, 1), noop_with_empty_axes=noop
    )


def indexed(make: Maker) -> None:
    """Positions of the largest or least."""
    x = make.one((make.dtype, make.dtype, *make.ints_of()[1:]), rank=(1, 4))
    last = int(make.chance(0.3))
    op = make.choice(("ArgMax", "ArgMin"))
    make.apply(op, x, axis=make.axis(x), keepdims=make.pick.randint(0, 1), select_last_index=last)


def softmax(make: Maker) -> None:
    """Along any axis."""
    x = make.one(rank=(1, 4))
    make.apply(make.choice(("Softmax", "Softmax", "LogSoftmax", "Hardmax")), x, axis=make.axis(x))


def running(make: Maker) -> None:
    """Running sums."""
    x = make.one((make.dtype, "int32", *(["int64", "uint64"] if make.wide else [])), rank=(1, 4))
    flags = {n: make.pick.randint(0, 1) for n in ("exclusive", "reverse")}
    make.apply("CumSum", x, make.constant(make.axis(x), "int64"), **flags)


def largest(make: Maker) -> None:
    """The first of an order; of equal elements the one with the lower index."""
    x = make.one((make.dtype, make.dtype, *make.ints_of()[1:]), rank=(1, 3))
    axis = make.axis(x)
    count = make.pick.randint(1, max(1, min(x.dims[axis])))
    make.emit("TopK", [x, make.ints([count])], 2, axis=axis, largest=make.pick.randint(0, 1))


def layer_norm(make: Maker) -> None:
    """Over the last axes."""
    x = make.one(rank=(1, 4))
    axis = make.pick.randrange(-x.rank, 0)
    _fixed(x, range(x.rank + axis, x.rank))
    dims = x.dims[axis:]
    scale = make.fresh(dims, weight=0.8)
    bias = make.fresh(dims, weight=0.8) if make.chance(0.7) else None
    given = {"axis": axis, "epsilon": 1e-3, "stash_type": _stash(make)}
    make.apply("LayerNormalization", x, scale, *([bias] if bias else []), **given)


def rms_norm(make: Maker) -> None:
    """Without a mean."""
    x = make.one(rank=(1, 4))
    axis = make.pick.randrange(-x.rank, 0)
    _fixed(x, range(x.rank + axis, x.rank))
    make.apply(
        "RMSNormalization",
        x,
        make.fresh(x.dims[axis:], weight=0.8),
        axis=axis,
        epsilon=1e-3,
        stash_type=_stash(make),
    )


def channel_norm(make: Maker) -> None:
    """Over what is behind the channels, or by statistics that are known."""
    x = make.one(rank=(3, 5))
    _fixed(x, [1])
    channels = [x.dims[1]]
    scale, bias = make.fresh(channels, weight=0.9), make.fresh(channels, weight=0.9)
    match make.choice(("instance", "group", "batch", "batch", "mean")):
        case "instance":
            make.apply("InstanceNormalization", x, scale, bias, epsilon=1e-3)
        case "group":
            if make.dtype == "float64":  # means in float64, which nothing here takes
                raise UnfitError
            groups = make.choice([g for g in range(1, x.shape[1] + 1) if x.shape[1] % g == 0])
            make.apply("GroupNormalization", x, scale, bias, num_groups=groups, epsilon=1e-3)
        case "batch":
            mean = make.fresh(channels, weight=0.9)
            spread = make.fresh(channels, kind="positive", weight=0.9)
            make.apply("BatchNormalization", x, scale, bias, mean, spread, epsilon=1e-3)
        case _:
            make.apply("LRN", x, size=make.choice((1, 3, 5)), alpha=0.1, beta=0.75, bias=1.0)


def lp_norm(make: Maker) -> None:
    """By the sum of magnitudes or of squares."""
    x = make.one(rank=(1, 4))
    make.apply("LpNormalization", x, axis=make.axis(x), p=make.pick.randint(1, 2))


def _stash(make: Maker) -> int | None:
    """The type that sums are taken in: float32, unless elements are wider."""
    return TensorProto.DOUBLE if make.dtype == "float64" else None


def _fixed(value: Known, axes: object) -> None:
    assert isinstance(axes, (range, list))
    if not all(value.fixed(a) for a in axes) or 0 in np.array([value.shape[a] for a in axes]):
        raise UnfitError
