"""What a model must give, and how far from it a right implementation may be.

The truth is the model in float64. How far rounding may lead from it is tried: float64 again, a few times,
with random errors of the narrow type's size put in wherever it rounds (Parker, "Monte Carlo arithmetic",
1997). Where a node is exact in the narrow type, as sums over a grid are, nothing is put in, so that what
rounds or compares behind it is decided. Elements that such errors turn into another number altogether are
undecided, as are those on which ONNX Runtime or ONNX's reference, in the model's own types, are farther from
the truth than errors explain.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ml_dtypes import bfloat16
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

from tests.fuzz.known import runtime
from tests.fuzz.wide import Array, Values, Walk, widened, widened_feeds

# factors of the errors, whose sum may be small by chance; each is tried with all signs turned, too, so that
# what lies between two numbers goes to both
TRIALS = (1, -1, 2, -2, 4, -4)
ILL = 0.02  # a deviation, as a share of the largest element, from which on an element is undecided
_ROUNDED = {"bfloat16": 2.0**-9, "float16": 2.0**-11, "float32": 2.0**-24, "float64": 2.0**-53}
_NARROWER = {"bfloat16": bfloat16, "float16": np.float16, "float32": np.float32, "float64": np.float32}
# what is right to the last bit where the result can be held; all others come near
_EXACT = frozenset(
    (
        *(
            "Abs",
            "Add",
            "ArgMax",
            "ArgMin",
            "Cast",
            "Ceil",
            "CenterCropPad",
            "Clip",
            "Col2Im",
            "Compress",
            "Concat",
            "ConcatFromSequence",
            "ConstantOfShape",
        ),
        *(
            "Conv",
            "ConvTranspose",
            "CumSum",
            "DepthToSpace",
            "DequantizeLinear",
            "Einsum",
            "Equal",
            "Expand",
            "EyeLike",
            "Flatten",
            "Floor",
            "Gather",
        ),
        *(
            "GatherElements",
            "GatherND",
            "Gemm",
            "GlobalMaxPool",
            "Greater",
            "GreaterOrEqual",
            "Hardmax",
            "Identity",
            "IsInf",
            "IsNaN",
            "Less",
            "LessOrEqual",
        ),
        *(
            "MatMul",
            "Max",
            "MaxPool",
            "MaxRoiPool",
            "MaxUnpool",
            "Min",
            "Mul",
            "Neg",
            "NonZero",
            "OneHot",
            "Pad",
            "Range",
            "ReduceMax",
        ),
        *(
            "ReduceMin",
            "ReduceSum",
            "Relu",
            "Reshape",
            "ReverseSequence",
            "Round",
            "ScatterElements",
            "ScatterND",
            "SequenceAt",
            "Sign",
            "Slice",
            "SpaceToDepth",
            "Split",
        ),
        *(
            "Squeeze",
            "Sub",
            "Sum",
            "Tile",
            "TopK",
            "Transpose",
            "Trilu",
            "Unique",
            "Unsqueeze",
            "Where",
        ),
    )
)
# sums that cancel within, with terms of about 1: there errors are absolute
_CANCELLING = frozenset(("Celu", "Elu", "Gelu", "Mish", "Selu", "Sinh", "Softplus", "Swish"))
# what ONNX's reference computes in float32 here and there
_NARROW_WITHIN = frozenset(("Attention", "DeformConv", "GridSample", "HardSwish"))
_COARSE = 8.0  # errors of what comes near, in units of rounding; others have 2


@dataclass(frozen=True)
class Expected:
    """What an output must be.

    Attributes:
        array: the truth, in the output's dtype.
        bound: how far each float may be from it.
        decided: the elements to judge.
    """

    array: Array
    bound: NDArray[np.float64]
    decided: NDArray[np.bool_]

    def mismatch(self, got: Array, looseness: float = 1.0, finite: bool = False) -> str:
        """How an output differs; empty where it does not.

        Args:
            got: the output.
            looseness: a factor of the bound.
            finite: leave out elements that are NaN or infinite.
        """
        if got.dtype != self.array.dtype:
            return f"dtype {got.dtype}, expected {self.array.dtype}"
        if got.shape != self.array.shape:
            return f"shape {got.shape}, expected {self.array.shape}"
        judged = self.decided & np.isfinite(self.array) if finite and got.dtype.kind == "f" else self.decided
        if got.dtype.kind == "f":
            wrong = judged & ~self._near(got, looseness)
        else:
            wrong = judged & (got != self.array)
        if not wrong.any():
            return ""
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        told = f"{int(wrong.sum())} of {wrong.size} elements, first at {at}: {got[at]}"
        within = f" within {looseness * self.bound[at]:.1e}" if got.dtype.kind == "f" else ""
        return f"{told}, expected {self.array[at]}{within}"

    def _near(self, got: Array, looseness: float) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore", over="ignore"):
            ours, truth = got.astype(np.float64), self.array.astype(np.float64)
            near = np.abs(ours - truth) <= looseness * self.bound
        return np.asarray(near | (ours == truth) | (np.isnan(ours) & np.isnan(truth)))


@dataclass(frozen=True)
class Judgement:
    """What all outputs must be in each run, None for those that are undecided; or why nothing can be told."""

    runs: tuple[dict[str, Expected | None], ...] = ()
    reason: str = ""


def judge(proto: ModelProto, feeds: Sequence[Mapping[str, Array]]) -> Judgement:
    """Evaluate a model in every way.

    Args:
        proto: the model.
        feeds: what is fed in each run.
    """
    outputs = [o.name for o in proto.graph.output]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            session = runtime(proto)
            exact, plain = Walk(widened(proto)), Walk(proto)
            seed = zlib.crc32(proto.SerializeToString())
            runs = []
            for number, feed in enumerate(feeds):
                reference = plain.run(feed)
                theirs = reference
                if session is not None:
                    theirs = dict(zip(outputs, session.run(outputs, dict(feed)), strict=True))
                wide = widened_feeds(feed)
                truth = exact.run(wide)
                noises = [_Noise(reference, truth, [seed, number, abs(f)], f) for f in TRIALS]
                trials = [exact.run(wide, noise.alter) for noise in noises]
                runs.append({n: _expected(n, theirs, reference, truth, trials) for n in outputs})
        except Exception as error:  # noqa: BLE001 - whatever a reference raises, it does not tell what is right
            return Judgement(reason=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    return Judgement(tuple(runs))


class _Noise:
    """Puts errors in.

    Args:
        reference: all values in the model's own types.
        truth: all values in float64.
        seed: of the errors.
        factor: what they are multiplied by.
    """

    def __init__(self, reference: Values, truth: Values, seed: Sequence[int], factor: int) -> None:
        self._truth, self._factor = truth, factor
        self._random = np.random.default_rng(seed)
        self._dtypes = {n: a.dtype.name for n, a in reference.items()}

    def alter(self, node: NodeProto, array: Array, read: bool) -> Array:
        """As `Alter`."""
        error = max((self._error(node, n) for n in node.output if n in self._dtypes), default=0.0)
        if not error:
            return array
        signs = self._random.integers(0, 2, array.shape) * 2 - 1
        wide, relative = array.astype(np.float64), self._factor * error * signs
        return wide + relative if node.op_type in _CANCELLING and not read else wide * (1 + relative)

    def _error(self, node: NodeProto, output: str) -> float:
        """What a node's output may be wrong by, relative to it; 0 where it is exact."""
        dtype = self._dtypes[output]
        if dtype not in _ROUNDED:  # of integers whatever is computed on the way to them
            read = (
                [] if node.op_type in _EXACT else [self._dtypes[n] for n in node.input if n in self._dtypes]
            )
            return max((2 * _ROUNDED[d] for d in read if d in _ROUNDED), default=0.0)
        truth = self._truth[output].astype(np.float64)
        if node.op_type in _NARROW_WITHIN and dtype == "float64":
            dtype = "float32"
        if node.op_type not in _EXACT:
            return _COARSE * _ROUNDED[dtype]
        held = truth.astype(_NARROWER[dtype]).astype(np.float64)
        return 0.0 if np.array_equal(held, truth, equal_nan=True) else 2 * _ROUNDED[dtype]


def _expected(
    name: str, theirs: Values, reference: Values, truth: Values, trials: Sequence[Values]
) -> Expected | None:
    """What an output must be, from all evaluations of it; None where they differ in dtype or shape."""
    given, other, exact = np.asarray(theirs[name]), reference[name], truth[name]
    dtype = given.dtype
    tried = [t[name] for t in trials]
    if dtype != other.dtype or any(a.shape != given.shape for a in (other, exact, *tried)):
        return None
    if dtype.kind != "f":
        same = np.logical_and.reduce([a == given for a in (other, exact, *tried)])
        return Expected(given, np.zeros(given.shape), np.asarray(same))
    with np.errstate(all="ignore"):
        wide = exact.astype(np.float64)
        off = [_distance(t.astype(np.float64), wide) for t in tried]
        apart = np.maximum(*(_distance(a.astype(np.float64), wide) for a in (given, other)))
    noise = np.maximum.reduce([*off, 2 * _ROUNDED[dtype.name] * np.where(np.isfinite(wide), np.abs(wide), 0)])
    magnitude = np.abs(wide[np.isfinite(wide)]).max(initial=0)
    stable = noise <= ILL * max(magnitude, 1e-30)
    common = float(noise[stable].max(initial=0))
    decided = stable & (apart <= 4 * common)
    bound = 4 * np.maximum(noise, np.where(decided, apart, 0)) + 0.25 * common
    return Expected(wide.astype(dtype), np.where(decided, bound, 0), decided)


def _distance(array: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Absolute differences: 0 between alike infinities and NaN, infinite between others."""
    same = (array == truth) | (np.isnan(array) & np.isnan(truth))
    off = np.abs(array - truth)
    return np.where(same, 0, np.where(np.isnan(off), np.inf, off))
