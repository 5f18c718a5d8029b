"""What products of matrices share: operands read by fours, and the size of a workgroup's tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pyruntime.ir.dims import Dim, at_least, bounds, ceildiv, divides
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Blocks, KernelCall, MatMul
from pyruntime.ir.symbols import occupied
from pyruntime.ir.views import Tensor, View
from pyruntime_shaders.intervals import DIM_LIMIT, Interval, stored
from pyruntime_shaders.module import Address, Module
from pyruntime_shaders.printer import Block, value_type

if TYPE_CHECKING:
    from pyruntime_shaders.octets import Octets

THREADS = 256
_LONG = 1024  # k that more threads should share
BUSY = 64  # workgroups that keep a GPU busy
MANY = 8 * BUSY  # that do even where each takes more registers, so that fewer run at once
LIKELY = 128  # rows or columns, where symbols tell less: a sentence, or a batch of small images


class Levels(NamedTuple):
    """How an operand's fours are made of integers: (level - zero) * scale.

    Attributes:
        bits: of a level, 4 or 8.
        row: the number of the panel's row of 8 levels.
        block: the number of its row of scales, in terms of the parameters, as `row`.
        scales: the buffer, an array of vec4.
        zeros: the same, or empty.
        middle: the zero point of all, where there is no buffer.
    """

    bits: int
    row: str
    block: str
    scales: str
    zeros: str
    middle: str


class Element(NamedTuple):
    """A function that computes an element of others.

    Attributes:
        parameters: all of them floats.
        body: its statements and value.
    """

    parameters: tuple[str, ...]
    body: Block


class Computed(NamedTuple):
    """What gives the elements of an operand that is in no memory.

    Attributes:
        element: of what they are made of.
        single: the arguments for one.
        fours: four that follow along k; none where they may lie apart.
    """

    element: Element
    single: tuple[str, ...]
    fours: str | None


class Source(NamedTuple):
    """An operand that the template prints as `quad_<name>`: four elements that follow along `along`.

    Attributes:
        name: "a" or "b".
        parameters: of the function; `along` is one of them.
        lines: statements before the position.
        address: guards and position in terms of the parameters and of `lines`.
        fill: what the guards give.
        buffer: the tensor's buffer, an array of vec4 where `vector`.
        type: of the accumulator, to which elements are converted.
        levels: where the buffer holds words of levels; then `address` has guards alone.
        octets: where four 8-bit integers become a word; then `quad_<name>` gives four words.
        computed: what gives an element where no buffer holds it; then `address` has guards alone.
    """

    name: str
    parameters: tuple[str, ...]
    along: str
    lines: tuple[str, ...]
    address: Address
    fill: str
    buffer: str
    vector: bool
    type: str
    levels: Levels | None = None
    octets: Octets | None = None
    computed: Computed | None = None

    def before(self, condition: str) -> Source:
        """The same with one more test for where there is no element, ahead of the others."""
        return self._replace(address=self.address._replace(guards=(condition, *self.address.guards)))


@dataclass(frozen=True)
class Patch:
    """A workgroup's part of the result: threads over columns (4 each), over rows (`rows` each), over k."""

    across: int
    down: int
    rows: int
    slices: int = 1

    @property
    def threads(self) -> int:
        """Of the workgroup."""
        return self.across * self.down * self.slices

    @property
    def height(self) -> int:
        """Rows of the result."""
        return self.down * self.rows

    @property
    def width(self) -> int:
        """Columns of the result."""
        return self.across * 4


@dataclass(frozen=True)
class Tile(Patch):
    """A patch whose operands lie in workgroup memory, where each slice multiplies `quads` times four k.

    The sums of all slices are added in the end.
    """

    quads: int = 4

    @property
    def depth(self) -> int:
        """k of the parts of both operands that lie in workgroup memory."""
        return 4 * self.quads * self.slices

    @property
    def vectors(self) -> int:
        """vec4 of workgroup memory: for both operands, or for the sums of all slices."""
        operands = self.depth // 4 * (self.height + self.width)
        return operands if self.slices == 1 else max(operands, self.threads * self.rows)


@dataclass(frozen=True)
class Lanes:
    """A workgroup's part of a product with few rows: `quads` of four columns each, for all of which `lanes`
    threads share k."""

    quads: int
    lanes: int

    @property
    def threads(self) -> int:
        """Of the workgroup."""
        return self.quads * self.lanes

    @property
    def width(self) -> int:
        """Columns of the result."""
        return self.quads * 4


# where threads of a workgroup share k, and read operands where they lie
SLICED_PATCHES = (Patch(8, 2, 4, 4), Patch(4, 2, 4, 8), Patch(2, 2, 4, 16), Patch(4, 2, 2, 8))
# tiles for small products: few results for each of 128 threads, which software devices are slow to start
_SLICED = (Tile(8, 4, 4, 4, 4), Tile(4, 4, 4, 8, 2), Tile(4, 2, 4, 16, 2), Tile(4, 2, 2, 16, 2))
# where k, as a rule in words of 8-bit integers, does not fill the smallest of them
_SHORT = (Tile(8, 4, 2, 4, 2), Tile(4, 4, 2, 8, 1), Tile(4, 2, 2, 16, 1))


def options(m: Dim, n: Dim, k: Dim) -> list[Patch]:
    """Patches and tiles that may be best on some GPU; all fit the limits that every WebGPU device has.

    Left out are those of which more than half would lie outside the result, and slices that k does not fill.
    """
    made = [Patch(across, 64 // across, rows) for across in (8, 16) for rows in (1, 2, 4, 8)]
    made += [Patch(4, 16, 1), Patch(4, 16, 4), Patch(16, 16, 2), Patch(16, 16, 4)]
    made += [*SLICED_PATCHES, Tile(8, 8, 4), Tile(8, 8, 8, quads=2), Tile(8, 32, 4), *_SLICED, *_SHORT]
    made += [Tile(16, 16, rows, quads=quads) for rows, quads in ((2, 4), (4, 4), (4, 8), (8, 4))]
    made = [p for p in made if p.slices == 1 or at_least(k, 4 * p.slices)]
    return [p for p in made if fills(p.height, m) and fills(p.width, n)]


def few_rows(n: Dim, k: Dim, others: int) -> Lanes:
    """Two quads, which are a panel; one where these are too few to keep a GPU busy.

    `others` are workgroups of the same columns: of other rows, and of batches.
    """
    if isinstance(n, int) and -(-n // 8) * others < BUSY:
        # a thread's way through k is long: where threads are few, nothing hides its loads
        return Lanes(1, 128 if at_least(k, _LONG) else 64)
    return Lanes(2, 64)


def few_row_options(n: Dim, k: Dim) -> list[Lanes]:
    """What else may be best on some GPU; all fit the limits that every WebGPU device has."""
    made = [Lanes(quads, lanes) for quads in (1, 2, 4, 8) for lanes in (16, 32, 64, 128, 256)]
    made = [m for m in made if 32 <= m.threads <= THREADS and fills(m.width, n)]
    return [m for m in made if not isinstance(k, int) or m.lanes <= max(2 * k, 32)]


def fills(size: int, dim: Dim) -> bool:
    """Whether half of so many rows or columns are there, as far as that is known, or they are few anyway."""
    return not isinstance(dim, int) or size <= max(2 * dim, 16)


def choose(m: Dim, n: Dim, k: Dim, batches: Dim) -> Tile:
    """The largest tile that wastes few columns and, as far as the dims are known, keeps a GPU busy."""
    width = 16 if isinstance(n, int) and n <= 16 else 32 if isinstance(n, int) and n <= 32 else 64
    across = width // 4
    down = THREADS // across
    # past 128 rows the part of `a` would not fit workgroup memory beside that of `b`
    tiles = [Tile(across, down, rows) for rows in (8, 4, 2, 1) if rows * down <= 128]
    sliced = _SLICED if at_least(k, _SLICED[-1].depth) else (*_SLICED, *_SHORT)
    tiles += [t for t in sliced if t.width <= width and at_least(k, t.depth)]
    rows, columns = (d if isinstance(d, int) else max(least(d), LIKELY) for d in (m, n))
    for tile in tiles:
        wanted = MANY if tile.rows > 4 else BUSY
        if -(-rows // tile.height) * -(-columns // tile.width) * least(batches) >= wanted:
            return tile
    return tiles[-1]


def least(dim: Dim) -> int:
    """The least of a size, for inputs that are not empty."""
    return bounds(occupied(dim))[0] or 1


def accumulator(operand: DType) -> DType:
    """The dtype in which products of an operand's elements are summed."""
    return DType.F32 if operand.is_float else DType.I32


def alone(call: KernelCall, tensor: Tensor) -> bool:
    """Whether a call touches a tensor through one view only, so that it may be bound as vec4."""
    return [v.tensor for v in (*call.reads(), call.output)].count(tensor) == 1


def quads(view: View, axis: int, extent: Dim) -> bool:
    """Whether each four elements along `axis` from a multiple of four on lie in one aligned vec4.

    Args:
        view: the operand.
        axis: the axis along which four elements are read, negative.
        extent: its size: the last four must be whole.
    """
    others = [s for i, s in enumerate(view.strides) if i != len(view.strides) + axis]
    return (
        not view.guards
        and not view.indirect
        and view.strides[axis] == 1
        and all(divides(4, d) for d in (view.offset, extent, *others))
    )


def whole_fours(call: KernelCall, columns: Dim) -> Iterator[Tensor]:
    """Operands of the body, and the output, of which four columns lie in one aligned vec4.

    Extremes, which lie behind the output, are stored one by one.
    """
    indices = {term.operand for view in (*call.reads(), call.output) for term in view.indirect}
    told = getattr(call, "extremes", None) is not None
    for number, view in enumerate((*call.inputs, *(() if told else (call.output,)))):
        whole = alone(call, view.tensor) and not view.tensor.pairs and quads(view, -1, columns)
        if whole and number not in indices:
            yield view.tensor


def source(
    module: Module,
    name: str,
    view: View,
    parameters: tuple[str, ...],
    sizes: Sequence[Dim],
    along: str,
    vector: bool,
    axes: tuple[str, ...] = (),
    held: DType | None = None,
) -> Source:
    """A view as an operand; its axes are `axes`, or else `parameters`, and `sizes` their extents.

    `held` is the dtype to which elements are converted, by default that of sums of products.

    Raises:
        UnsupportedError: for 64-bit integers that may not fit 32; no operator is lowered to such.
    """
    _refuse_pairs(module, view)
    assert not view.indirect, f"{module.call.name}: {name} reads through indices"
    held = held or accumulator(view.tensor.dtype)
    return Source(
        name,
        parameters,
        along,
        (),
        module.address(name, view, axes or parameters, sizes),
        module.literal(view.fill, held),
        module.buffer(view.tensor),
        vector,
        value_type(held),
    )


def _refuse_pairs(module: Module, view: View) -> None:
    if view.tensor.pairs:
        raise module.unsupported(f"{view.tensor.name!r} holds 64-bit integers that may not fit 32")


def panels(
    module: Module, view: View, parameters: tuple[str, ...], base: str, k: Dim, vector: bool
) -> Source:
    """A weight in panels of 8 columns as operand b over k and column; `base` is the panel to start from."""
    panel = f"({base} + (column >> 3u))" if base else "(column >> 3u)"
    position = f"({panel} * {module.word('k', k)} + k) * 8 + (column & 7)"
    return _rearranged(module, view, parameters, (), position, vector=vector)


def block_panels(module: Module, call: MatMul, blocks: Blocks, parameters: tuple[str, ...]) -> Source:
    """A weight of levels in blocks (see `ops.layouts.pack_levels`) as operand b over k and column."""
    groups = module.word("groups", ceildiv(call.k, blocks.size))
    levels = Levels(
        blocks.bits,
        f"(column >> 3u) * {module.word('k', call.k)} + k",
        f"(column >> 3u) * {groups} + k / {blocks.size}",
        module.buffer(blocks.scales.tensor),
        "" if blocks.zeros is None else module.buffer(blocks.zeros.tensor),
        module.literal(blocks.middle, DType.F32),
    )
    whole = _rearranged(module, call.b, parameters, (), "0", vector=True)
    return whole._replace(fill=module.literal(0, DType.F32), type=value_type(DType.F32), levels=levels)


def quad_panels(
    module: Module,
    view: View,
    parameters: tuple[str, ...],
    group: tuple[str, Dim] | None,
    tap: tuple[str, str, Dim] | None,
    k: Dim,
) -> Source:
    """A weight of 8-bit integers in quads (see `ops.layouts`), in panels of 8 columns, as operand b.

    Args:
        module: of the call.
        view: the weight.
        parameters: of the function.
        group: the group's number, and how many panels each has, after which come the sums of its columns.
        tap: for a convolution the words for channels and taps, and the number of channels; k counts both.
        k: of a product.
    """
    panel, skipped = "(column >> 3u)", ""
    if group is not None:
        number, count = group
        words = module.word("group_panels", count)
        panel, skipped = f"({number} * {words} + (column >> 3u))", f" + {number} * {words} * 32"
    lines: tuple[str, ...] = ()
    if tap is None:
        row, inner = f"{panel} * {module.word('k_quads', ceildiv(k, 4))}", "k"
    else:
        channels, taps, depth = tap
        lines = (f"let tap = k / {channels};", f"let channel = k - tap * {channels};")
        row, inner = (
            f"({panel} * {taps} + tap) * {module.word('channel_quads', ceildiv(depth, 4))}",
            "channel",
        )
    position = f"({row} + ({inner} >> 2u)) * 32 + (column & 7) * 4 + ({inner} & 3){skipped}"
    return _rearranged(module, view, parameters, lines, position, vector=False)


def _rearranged(
    module: Module,
    view: View,
    parameters: tuple[str, ...],
    lines: tuple[str, ...],
    position: str,
    *,
    vector: bool,
) -> Source:
    """A weight as operand b over columns, whose element is at `position` of its own layout."""
    _refuse_pairs(module, view)
    if view.offset != 0:
        position = f"{module.word('b_offset', view.offset)} + {position}"
    held = accumulator(view.tensor.dtype)
    return Source(
        "b",
        parameters,
        "column",
        lines,
        Address((), (), position),
        module.literal(0, held),
        module.buffer(view.tensor),
        vector,
        value_type(held),
    )


def sum_range(a: DType, b: DType, k: Dim) -> Interval | None:
    """Bounds of a sum of k integer products; None for floats and for sums that wrap."""
    if a.is_float:
        return None
    count = k if isinstance(k, int) else DIM_LIMIT
    ends = [x * y * count for x in stored(a) for y in stored(b)]
    least, most = stored(DType.I32)
    return (min(*ends, 0), max(*ends, 0)) if least <= min(ends) and max(ends) <= most else None
