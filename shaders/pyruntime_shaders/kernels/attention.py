"""Attention by blocks of queries and keys with a running softmax; symbolic rows have a form for few too."""

from __future__ import annotations

from typing import NamedTuple

from pyruntime.ir.dims import Dim, at_least, ceildiv, maximum, minimum, occupied, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Attention
from pyruntime_shaders.accumulation import Accumulator, Running
from pyruntime_shaders.module import FEW_LANES, MAX_GROUPS, Kernel, Module, fold
from pyruntime_shaders.tiling import BUSY, LIKELY, Source, least, quads, source

FEW = 4  # queries that are not worth a block of many
_MOST_ACROSS = 64
_SMALL, _LARGE = 16, 32  # queries of a workgroup
_SHAPES = {_SMALL: (64, 32, 16), _LARGE: (256, 64, 16)}  # threads, keys, and threads over keys

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


def prepare(call: Attention) -> list[Kernel]:
    """The dispatches of a call. Raises UnsupportedError for what WGSL cannot compute."""
    rows = occupied(call.m)
    if at_least(FEW, rows):
        return [_kernel(call, 1 if call.m == 1 else 2 if call.m == 2 else FEW, 1)]
    height = _height(call)
    if at_least(rows, FEW + 1):
        return [_kernel(call, height, 1)]
    # exactly one of the two has workgroups
    many = minimum(maximum(call.m - FEW, 0), 1)
    return [_kernel(call, FEW, 1 - many), _kernel(call, height, many)]


def _height(call: Attention) -> int:
    """Queries of a workgroup: many share keys and values, where there are enough to keep a GPU busy."""
    rows = call.m if isinstance(call.m, int) else max(least(call.m), LIKELY)
    groups = -(-rows // _LARGE) * least(product(call.batch))
    # a thread holds the sums of more queries where workgroups are small: of narrow values alone
    return _SMALL if groups < BUSY and call.value_width <= 4 * _SMALL else _LARGE


def _block(rows: int, value_width: int) -> Block:
    threads, keys, key_lanes = _SHAPES.get(rows, (128, 128, 128))
    needed = -(-value_width // 4)
    across = min(1 << (needed - 1).bit_length(), _MOST_ACROSS)
    return Block(threads, rows, keys, key_lanes, across, min(rows, threads // across), -(-needed // across))


def _kernel(call: Attention, rows: int, on: Dim) -> Kernel:
    block = _block(rows, call.value_width)
    outer = tuple(f"b{i}" for i in range(len(call.batch)))
    batches, tiles = product(call.batch), ceildiv(call.m, rows)
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
        tiles=module.word("tiles", tiles, "u32"),
        outer_axes=outer,
        outer_count=module.word("batches", batches, "u32") if outer else "",
        outer_extents=tuple(
            module.word(f"extent_{i}", d, "u32") if i else "" for i, d in enumerate(call.batch)
        ),
    )
