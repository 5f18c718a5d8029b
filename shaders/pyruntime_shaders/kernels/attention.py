"""Attention by blocks of queries and keys with a running softmax; symbolic rows have a form for few too."""

from __future__ import annotations

from typing import NamedTuple

from pyruntime.ir.dims import Dim, at_least, ceildiv, divides, maximum, minimum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Attention
from pyruntime.ir.symbols import occupied
from pyruntime_shaders import extremes
from pyruntime_shaders.accumulation import Accumulator, Running
from pyruntime_shaders.module import FEW_LANES, MAX_GROUPS, Kernel, Module, fold
from pyruntime_shaders.tiling import BUSY, LIKELY, Source, least, quads, source

FEW = 4  # queries that are not worth a block of many
_MOST_ACROSS = 64

# of a row of scores: the largest, which need not be NaN where one is, since its weight will be
_LARGEST = Accumulator(
    0,
    "f32",
    "least",
    "partial_0[local] = max(partial_0[local], partial_0[other])",
    "acc_0 = max(acc_0, partial_0[other])",
    "subgroupMax(acc_0)",
)
# the sum of weights
_TOTAL = Running("add", DType.F32, None).over_lanes(1)


class Block(NamedTuple):
    """A workgroup's part: `rows` queries, `keys` keys at a time.

    Products: threads over keys (`key_lanes`) and rows. Values: threads over quads of features (`across`),
    rows (`down`) and groups of keys (`split`); a thread has `quads` quads.
    """

    threads: int
    rows: int
    keys: int
    key_lanes: int
    across: int
    down: int
    quads: int

    @property
    def split(self) -> int:
        """Groups of keys whose values are summed apart and added up at the end."""
        return self.threads // (self.across * self.down)

    @property
    def lanes(self) -> int:
        """Threads that reduce a row of scores."""
        return self.threads // self.rows


def _across(value_width: int) -> int:
    """Threads over the quads of a value's features."""
    return min(1 << (-(-value_width // 4) - 1).bit_length(), _MOST_ACROSS)


class Shape(NamedTuple):
    """What of a workgroup may be chosen: queries, threads, keys at a time, and threads over these.

    Where queries are few, there is one, or two, or `FEW`, whatever it says.
    """

    rows: int
    threads: int
    keys: int
    key_lanes: int

    def block(self, value_width: int, rows: int | None = None) -> Block:
        """The workgroup, for values of so many features."""
        rows = rows or self.rows
        across = _across(value_width)
        down, quads = min(rows, self.threads // across), -(-value_width // (4 * across))
        return Block(self.threads, rows, self.keys, self.key_lanes, across, down, quads)


_SMALL, _LARGE = Shape(16, 64, 32, 16), Shape(32, 256, 64, 16)
_FEW = Shape(FEW, 128, 128, 128)
# what else may be best on some GPU, within the workgroup memory that every device has
_MANY_QUERIES = (_SMALL, _LARGE, Shape(8, 64, 64, 16), Shape(16, 128, 64, 16), Shape(32, 128, 64, 16))
_FEW_QUERIES = (_FEW, Shape(FEW, 32, 32, 32), Shape(FEW, 64, 64, 64), Shape(FEW, 64, 128, 64))


def prepare(call: Attention, shape: Shape | None = None) -> list[Kernel]:
    """The dispatches of a call. Raises UnsupportedError for what WGSL cannot compute.

    `shape` is that of workgroups for few queries, or for many, by default what is chosen.
    """
    rows = occupied(call.m)
    one = shape if shape and shape.rows == FEW else _FEW
    other = shape if shape and shape.rows > FEW else _usual(call)
    if at_least(FEW, rows):
        few = 1 if at_least(1, rows) else 2 if at_least(2, rows) else FEW
        return [_kernel(call, one.block(call.value_width, few), 1)]
    if at_least(rows, FEW + 1):
        return [_kernel(call, other.block(call.value_width), 1)]
    # exactly one of the two has workgroups
    many = minimum(maximum(call.m - FEW, 0), 1)
    blocks = one.block(call.value_width), other.block(call.value_width)
    return [_kernel(call, blocks[0], 1 - many), _kernel(call, blocks[1], many)]


def patches(call: Attention) -> list[Shape]:
    """What may be chosen for a call, best or not."""
    rows = occupied(call.m)
    few = [] if at_least(rows, FEW + 1) else _FEW_QUERIES
    many = [] if at_least(FEW, rows) else _MANY_QUERIES
    return [s for s in (*few, *many) if s.threads >= _across(call.value_width)]


def _usual(call: Attention) -> Shape:
    """Many queries share keys and values, where there are enough to keep a GPU busy."""
    rows = call.m if isinstance(call.m, int) else max(least(call.m), LIKELY)
    groups = -(-rows // _LARGE.rows) * least(product(call.batch))
    # a thread holds the sums of more queries where workgroups are small: of narrow values alone
    return _SMALL if groups < BUSY and call.value_width <= 4 * _SMALL.rows else _LARGE


def _kernel(call: Attention, block: Block, on: Dim) -> Kernel:
    outer = tuple(f"b{i}" for i in range(len(call.batch)))
    batches, tiles = product(call.batch), ceildiv(call.m, block.rows)
    runs = span = ""
    parts = {"q": (call.q, call.width), "k": (call.k, call.width), "v": (call.v, call.value_width)}
    others = {v.tensor for v in (*call.inputs, call.output)}
    plain = {v.tensor for v, width in parts.values() if v.tensor in others or not quads(v, -1, width)}
    vectors = [v.tensor for v, _ in parts.values() if v.tensor not in plain]
    module = Module(call, (*outer, "m", "column"), (*call.batch, call.m, call.n), vectors)
    module.accumulates(0, DType.F32)
    row_count, key_count = module.word("m", call.m), module.word("n", call.n)
    width, value_width = module.word("width", call.width), module.word("value_width", call.value_width)

    def operand(name: str, row: str, count: Dim, limits: tuple[str, str]) -> Source:
        view, size = parts[name]
        made = source(
            module,
            name,
            view,
            (*outer, row, "feature"),
            (*call.batch, count, size),
            "feature",
            view.tensor in vectors,
        )
        return made.before(f"feature >= {limits[1]}").before(f"{row} >= {limits[0]}")

    if call.split is not None:
        assert divides(block.keys, call.split.span), f"{call.name}: runs of whole blocks of keys"
        runs, span = module.word("runs", call.split.parts), module.word("span", call.split.span)
        tiles = tiles * call.split.parts
    x, y = fold(tiles)
    return module.finish(
        "attention",
        (x * on, y, minimum(batches, MAX_GROUPS)),
        block=block,
        accumulators=(_LARGEST, _TOTAL),
        subgroups=block.lanes > FEW_LANES,
        q=operand("q", "m", call.m, (row_count, width)),
        k=operand("k", "key", call.n, (key_count, width)),
        v=operand("v", "key", call.n, (key_count, value_width)),
        score=module.block([call.score]),
        rows=row_count,
        keys=key_count,
        width=width,
        value_width=value_width,
        causal="" if call.causal is None else module.word("causal", call.causal),
        safe=call.safe,
        runs=runs,
        span=span,
        tiles=module.word("tiles", tiles, "u32"),
        outer_axes=outer,
        outer_count=module.word("batches", batches, "u32") if outer else "",
        outer_extents=module.extents(call.batch),
        **extremes.values(module, call.extremes, block.across),
    )
