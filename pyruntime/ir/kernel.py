"""Kernel calls: what lowering hands to the targets. Each names a template and says how it reads and writes.

A call is target-neutral. Its static part (`key`) decides the code, its dims are run-time parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType, product_dtype, sums_exactly
from pyruntime.ir.extremes import Extremes
from pyruntime.ir.prologue import Prologue, multiplied_dtype
from pyruntime.ir.scalar import Scalar
from pyruntime.ir.views import Tensor, View

if TYPE_CHECKING:
    from pyruntime.ir.graph import Origin

Combine = Literal["sum", "prod", "min", "max", "and", "or"]


@dataclass(frozen=True, kw_only=True)
class KernelCall:
    """Base of all calls.

    `inputs` are the operands that trees load from (Load.operand indexes it); structured kernels read
    further tensors by their own fields. `size_values` are the dims that `Size` leaves index.
    """

    template: ClassVar[str]
    name: str  # readable, unique in the program: "conv2d base_net.0"
    origins: tuple[Origin, ...] = ()
    inputs: tuple[View, ...] = ()
    output: View
    size_values: tuple[Dim, ...] = ()

    def reads(self) -> Iterator[View]:
        """All views that the call reads."""
        yield from self.inputs

    def tensors(self) -> list[Tensor]:
        """The distinct tensors of the call, those read first, in a fixed order; the written one is last."""
        found = {v.tensor: None for v in self.reads()}
        found.pop(self.output.tensor, None)
        return [*found, self.output.tensor]


@dataclass(frozen=True, kw_only=True)
class Map(KernelCall):
    """output[i] = body(i) over the iteration space `sizes` (outermost first, adjacent axes merged)."""

    template: ClassVar[str] = "map"
    sizes: tuple[Dim, ...]
    body: Scalar


@dataclass(frozen=True, kw_only=True)
class Scatter(KernelCall):
    """As Map, where `output` is indirect, so that points may meet: Acc(0) in the body is what was there.

    Points that meet differ along the first `ordered` axes, and come in row-major order; where no element is
    valid, nothing is done.
    """

    template: ClassVar[str] = "scatter"
    sizes: tuple[Dim, ...]
    ordered: int
    body: Scalar


@dataclass(frozen=True)
class Reduction:
    """One pass over the reduced axes: combine(body(i)); the result is Acc(position in the list).

    Its body may use the Acc of earlier reductions. An empty range gives the combination's identity
    (sum 0, prod 1, min +inf or the type's largest, max -inf or the type's smallest, and true, or false).
    min and max propagate NaN.
    """

    combine: Combine
    body: Scalar


@dataclass(frozen=True)
class Aside:
    """One more value for each row of a Row: `body`, stored to `output`, another part of its tensor."""

    output: View
    body: Scalar


@dataclass(frozen=True, kw_only=True)
class Row(KernelCall):
    """Reductions over the innermost `reduced` axes for each point of the outer ones, then a body.

    The iteration space is `sizes`: outer axes, then reduced axes. Every input view has a stride for each.
    With `elementwise` the body is evaluated and stored for every point of the whole space (softmax,
    norms) and `output` has strides for all axes; without, once per outer point, and `output`'s strides
    over the reduced axes are zero. Inputs with zero strides over the reduced axes are per-row operands.
    Accumulates in float32 for float16 and float32, in the body's type for integers. `asides`, which WebGPU
    alone has, are further values of each row.
    """

    template: ClassVar[str] = "row"
    sizes: tuple[Dim, ...]
    reduced: int
    reductions: tuple[Reduction, ...]
    body: Scalar
    elementwise: bool = False
    asides: tuple[Aside, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cumulate(KernelCall):
    """Running combinations along the innermost axis of `sizes`, and a body for every point.

    Acc(0) at index k combines `value` at 0..k; with `exclusive` without k itself, with `reverse` at k..end.
    Accumulates as Row does.
    """

    template: ClassVar[str] = "cumulate"
    sizes: tuple[Dim, ...]
    combine: Literal["sum", "prod"]
    exclusive: bool = False
    reverse: bool = False
    value: Scalar
    body: Scalar


@dataclass(frozen=True, kw_only=True)
class Operand(Map):
    """A Map that a product computes where it reads: of its left operand, over (batch axes, m, k).

    After the batch axes `rows` axes are m, the others k, each of them outermost first. What `output` names is
    in no memory.
    """

    rows: int


@dataclass(frozen=True)
class Blocks:
    """How the weight of a MatMul is made of integers: (level - zero point) * scale, shared by blocks of k.

    `scales` and `zeros`, if any, are matrices [k / size rounded up, n] in panels, as the weight itself;
    without `zeros` the zero point is 2^(bits - 1).
    """

    bits: int  # 4 or 8
    size: int
    scales: View
    zeros: View | None = None

    @property
    def middle(self) -> int:
        """The zero point of levels that have no other."""
        return middle_level(self.bits)


def middle_level(bits: int) -> int:
    """The zero point of unsigned levels of so many bits that have none of their own."""
    return 1 << (bits - 1)


@dataclass(frozen=True, kw_only=True)
class MatMul(KernelCall):
    """output[b, m, n] = body(Acc = sum over k of a[b, m, k] * b[b, k, n]), Acc of `product_dtype`.

    Iteration space: the batch axes, m, n; `inputs` and `output` are over it. `a` has strides
    (batch axes..., m, k), `b` (batch axes..., k, n). A weight b with `panels` is stored as
    [n / panels rounded up][k][panels], zero-filled at the end; then its batch strides are zero and
    its k and n strides are not used. Of an `exact` product panels have four k together, [n / panels
    rounded up][k / 4 rounded up][panels][4], then the sum of each column, as int32 (`quads8`). With `blocks`
    panels have 8 columns of levels in uint32 words, as `ops.layouts.pack_levels` writes them (`levels4x8`,
    `levels8x8`), and a is float32. WebGPU alone has three more: with `prologue` an exact product makes the
    left elements of a's, with `left` it computes a's elements, which are floats, of others, and an exact one
    tells `extremes` of its rows.
    """

    template: ClassVar[str] = "matmul"
    batch: tuple[Dim, ...] = ()
    m: Dim
    n: Dim
    k: Dim
    a: View
    b: View
    panels: int = 0
    blocks: Blocks | None = None
    prologue: Prologue | None = None
    left: Operand | None = None
    extremes: Extremes | None = None
    body: Scalar

    def reads(self) -> Iterator[View]:
        """a or what it is computed of, b, what prologue or blocks share, then the operands of the body."""
        yield from (self.a,) if self.left is None else self.left.inputs
        yield self.b
        if self.prologue is not None:
            yield from self.prologue.others
        if self.blocks is not None:
            yield self.blocks.scales
            if self.blocks.zeros is not None:
                yield self.blocks.zeros
        yield from self.inputs

    @property
    def sum_dtype(self) -> DType:
        """The dtype of Acc."""
        return product_dtype(self.left_dtype, self.b.tensor.dtype)

    @property
    def left_dtype(self) -> DType:
        """The dtype of what is multiplied with b."""
        return multiplied_dtype(self.a, self.prologue)

    @property
    def exact(self) -> bool:
        """Whether short integers are multiplied, and summed in int32 modulo 2^32."""
        return sums_exactly(self.left_dtype, self.b.tensor.dtype)

    @property
    def operations(self) -> Dim:
        """Multiplications and additions."""
        return product(self.batch) * self.m * self.n * self.k * 2


@dataclass(frozen=True)
class Split:
    """Keys in `parts` runs of `span`, of which the last may be shorter; all keys, or no part at all."""

    parts: Dim
    span: Dim


@dataclass(frozen=True, kw_only=True)
class Attention(KernelCall):
    """output[b, i, e] = sum over j of p[b, i, j] * v[b, j, e], where p is the softmax of `score` along j.

    `score` and `inputs` are over (batch axes, m, n); its Acc is the sum over c of q[b, i, c] * k[b, j, c].
    A score of minus infinity excludes a key. `q` has strides (batch axes..., m, width), `k` (batch axes...,
    n, width), `v` (batch axes..., n, value_width), `output` (batch axes..., m, value_width).

    Attributes:
        causal: where given, score is minus infinity for all j > i + causal: such keys need not be read.
        safe: whether rows that exclude every key give zeros instead of NaN.
        split: where given, each run of keys is attended to alone, and `output` has strides (batch axes...,
            m * parts, value_width + 2). Element i * parts + p is of query i and run p: the sum over its keys
            of w * v, where w is exp(score - most), or 0 of what is excluded; then `most`, the largest score
            of the run, or the least finite number where all are excluded; then the sum of w.
        extremes: what WebGPU alone has: those of each row, of attention that is not split.
    """

    template: ClassVar[str] = "attention"
    batch: tuple[Dim, ...] = ()
    m: Dim
    n: Dim
    width: int
    value_width: int
    q: View
    k: View
    v: View
    score: Scalar
    causal: Dim | None = None
    safe: bool = False
    split: Split | None = None
    extremes: Extremes | None = None

    @property
    def result(self) -> tuple[Dim, ...]:
        """The space that `output` has strides for."""
        if self.split is None:
            return (*self.batch, self.m, self.value_width)
        return (*self.batch, self.m * self.split.parts, self.value_width + 2)

    def reads(self) -> Iterator[View]:
        """q, k, v, then the operands of the score."""
        yield self.q
        yield self.k
        yield self.v
        yield from self.inputs

    @property
    def operations(self) -> Dim:
        """Multiplications and additions of the two products."""
        return product(self.batch) * self.m * self.n * (2 * (self.width + self.value_width))


@dataclass(frozen=True)
class Window:
    """A sliding window over two spatial axes: (height, width) pairs. The sizes imply padding after."""

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[Dim, Dim] = (0, 0)  # before


@dataclass(frozen=True, kw_only=True)
class Conv(KernelCall):
    """2-D convolution, cross-correlation as in ONNX; the iteration space is (n, oh, ow, oc).

    `x` has strides (n, h, w, c); reads outside [0, h) x [0, w) give its `fill`, which is 0 for floats. Acc
    is of `product_dtype`. For `groups` > 1 input channel block g feeds output channel block g. `weight`
    holds, per group, [oc_g / panels rounded up][kh * kw * c_g][panels] (`conv8`), or if `exact` [oc_g /
    panels rounded up][kh * kw][c_g / 4 rounded up][panels][4] and the sums of the columns (`convquads8`),
    or with panels = 0 (depthwise: groups == c, one output channel per input channel) [kh * kw][c]. `inputs`
    and `output` are over the iteration space. With `prologue`, which WebGPU alone has, an exact convolution
    makes what it multiplies of x's elements; `fill` stands for what is made. So it is with `extremes`, which
    an exact one of one group tells of each pixel.
    """

    template: ClassVar[str] = "conv"
    n: Dim
    in_size: tuple[Dim, Dim]
    out_size: tuple[Dim, Dim]
    in_channels: int
    out_channels: int
    groups: int = 1
    window: Window
    x: View
    weight: View
    panels: int = 8
    prologue: Prologue | None = None
    extremes: Extremes | None = None
    body: Scalar

    def reads(self) -> Iterator[View]:
        """x, weight, others of the prologue, then the operands of the body."""
        yield self.x
        yield self.weight
        if self.prologue is not None:
            yield from self.prologue.others
        yield from self.inputs

    @property
    def depthwise(self) -> bool:
        """Whether each channel has a filter of its own."""
        return self.panels == 0

    @property
    def sum_dtype(self) -> DType:
        """The dtype of Acc."""
        return product_dtype(self.left_dtype, self.weight.tensor.dtype)

    @property
    def left_dtype(self) -> DType:
        """The dtype of what is multiplied with the weight."""
        return multiplied_dtype(self.x, self.prologue)

    @property
    def exact(self) -> bool:
        """Whether short integers are multiplied, and summed in int32 modulo 2^32."""
        return sums_exactly(self.left_dtype, self.weight.tensor.dtype)

    @property
    def operations(self) -> Dim:
        """Multiplications and additions."""
        taps = self.window.kernel[0] * self.window.kernel[1] * (self.in_channels // self.groups)
        return product((self.n, *self.out_size)) * (2 * taps * self.out_channels)


@dataclass(frozen=True, kw_only=True)
class Pool(KernelCall):
    """2-D max or average pooling; the iteration space is (n, oh, ow, c), `x` has strides (n, h, w, c).

    Max ignores padding and propagates NaN. Average divides by the number of taps inside the input, or,
    with `count_include_pad`, inside the padded input of `padded` (height, width) counted from -pads; that of
    none is 0.
    """

    template: ClassVar[str] = "pool"
    mode: Literal["max", "average"]
    n: Dim
    channels: Dim
    in_size: tuple[Dim, Dim]
    out_size: tuple[Dim, Dim]
    window: Window
    count_include_pad: bool = False
    padded: tuple[Dim, Dim] = (0, 0)
    x: View
    body: Scalar

    def reads(self) -> Iterator[View]:
        """x, then the operands of the body."""
        yield self.x
        yield from self.inputs


@dataclass(frozen=True, kw_only=True)
class Suppression(KernelCall):
    """Greedy non-maximum suppression of boxes, for each image b and class c by itself.

    Again and again the box of the highest score is selected (of equals the first), and all are left out whose
    intersection with it over their union exceeds a threshold, until none is left or `most` are selected.
    `boxes` has strides (b, n, 4): two opposite corners (y, x, y, x), or if `centred` centre and size (x, y,
    width, height). `scores` has strides (b, c, n), `thresholds` has two elements: the overlap, and where
    `bounded` the score that a box must exceed. `output`, int32 over (b, c, most + n) and contiguous, gets the
    numbers of the selected boxes in order, and -1 behind them.
    """

    template: ClassVar[str] = "suppression"
    batch: Dim
    classes: Dim
    count: Dim
    most: Dim
    centred: bool
    bounded: bool
    boxes: View
    scores: View
    thresholds: View

    def reads(self) -> Iterator[View]:
        """Boxes, scores, thresholds."""
        yield from (self.boxes, self.scores, self.thresholds)


@dataclass(frozen=True, kw_only=True)
class Sort(KernelCall):
    """The first `most` numbers of the items of each row, in order; of equal items the lower is first.

    `x` has strides (row, item, element): of two items the first elements that differ decide. A NaN is equal
    to a NaN, and greater than all else. `output`, int32 over (row, 2 * count) and contiguous, gets -1 behind
    them.
    """

    template: ClassVar[str] = "sort"
    rows: Dim
    count: Dim
    width: Dim
    most: Dim
    descending: bool
    x: View

    def reads(self) -> Iterator[View]:
        """The items."""
        yield self.x


@dataclass(frozen=True)
class Phase:
    """One product within a step of a recurrence, and what becomes of its sums.

    Sum g of unit u is the sum over k of weight[k, g, u] times element k of slot `source`. `weight` has
    strides (d, k, g, u); with `panels` it is stored per direction as [units / panels rounded up][k][g]
    [panels], zero-filled at the end, and only its stride along d is used. `updates` gives slots their new
    values: all trees see the slots as they were before the phase.
    """

    source: int
    sums: int
    weight: View
    panels: int
    updates: tuple[tuple[int, Scalar], ...]


@dataclass(frozen=True, kw_only=True)
class Recurrence(KernelCall):
    """A layer that carries state from step to step, as LSTM and GRU do, in float32 or float64.

    The iteration space is (t, d, b, u): steps, directions, batch, units; `inputs` and `output` are over it.
    Each (d, b) has `slots` vectors of `units` values. In the trees Acc(s) is slot s at u, and Acc(slots + g)
    sum g of the present phase. A direction runs through time forward or, where `reverse` says so, backward;
    after the last phase of a step slot 0 is stored to output at t, unless `keeps_steps` is false.

    `initial` numbers, for the first slots, the operands (over d, b, u) that they begin with; None is zero, as
    all further slots are. `finals` are views over (d, b, u) of the output's tensor that take these first
    slots at the end; None is for one that nothing reads. `lengths` numbers an int32 operand (over b): row b
    runs through its first so many steps, forward or backward, and output is zero at the others. Lengths
    outside 0 to `steps` count as the nearer.
    """

    template: ClassVar[str] = "recurrence"
    steps: Dim
    batch: Dim
    units: int
    reverse: tuple[bool, ...]
    slots: int
    initial: tuple[int | None, ...]
    lengths: int | None = None
    phases: tuple[Phase, ...]
    keeps_steps: bool = True
    finals: tuple[View | None, ...]

    def reads(self) -> Iterator[View]:
        """The weights of the phases, then the operands."""
        yield from (phase.weight for phase in self.phases)
        yield from self.inputs

    @property
    def operations(self) -> Dim:
        """Multiplications and additions of the products."""
        sums = sum(phase.sums for phase in self.phases)
        return self.steps * self.batch * (2 * len(self.reverse) * sums * self.units * self.units)
