"""Left operands that products compute where they read them, instead of a kernel that stores them.

For WebGPU alone. A norm leaves what a row shares, such as its mean; the rest of it is the product's. Where a
thread computes an element for four columns alone, what many columns share had better be stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyruntime.ir.dims import Dim, at_least, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import KernelCall, Map, MatMul, Operand, Row
from pyruntime.ir.program import Program
from pyruntime.ir.scalar import Call, Const, Load, Scalar, cost, walk
from pyruntime.ir.symbols import occupied
from pyruntime.ir.views import View
from pyruntime_converter.lowering.lazy import MAX_TENSORS_READ, Lazy, Pool
from pyruntime_converter.lowering.space import Space
from pyruntime_converter.lowering.views import contiguous_strides
from pyruntime_converter.targets.composing import Composition
from pyruntime_converter.targets.edits import Absorbed, absorb, in_float64
from pyruntime_converter.targets.norms import divided

MOST_COST = 8  # for an element
MOST_WORK = 1280  # the same, for all columns of all that read it, for 8 bytes less that are moved
FEW = 4  # rows, beside whose product the bytes of an operand do not show
_FLOATS = (DType.F16, DType.F32)


def compute_operands(program: Program) -> Program:
    """The program without Maps and norms that only products read, and that these can compute.

    What stays as it is, and what is shared, as for `absorb`.
    """
    return absorb(program, _take)


def _take(call: Map | Row, readers: Sequence[KernelCall]) -> Absorbed | None:
    left = divided(call) if isinstance(call, Row) else call
    if left is None or in_float64(call) or not _cheap(left.body, readers):
        return None
    pool = Pool()
    lazy = Lazy(call.sizes, pool.add(Lazy(call.sizes, left.body, left.inputs)), tuple(pool.leaves))
    if not _pays(call, lazy, len(readers)):
        return None
    kept = () if isinstance(left, Map) else (left.rows,)
    return Absorbed([_reader(r, call, lazy) for r in readers], kept)


def _cheap(tree: Scalar, readers: Sequence[KernelCall]) -> bool:
    """Whether a tree makes floats of floats, whatever the indices and sizes, and costs little in all."""
    nodes = [*walk(tree)]
    of_floats = all(isinstance(n, (Call, Load, Const)) for n in nodes)
    floats = all(n.dtype in _FLOATS or (isinstance(n, Call) and n.dtype is DType.BOOL) for n in nodes)
    readings = sum((_readings(r) for r in readers if isinstance(r, MatMul)), start=0)
    few = cost(tree) <= MOST_COST and at_least(MOST_WORK, readings * cost(tree))
    return tree.dtype in _FLOATS and of_floats and floats and few


def _readings(reader: MatMul) -> Dim:
    """For how many columns a product reads each element of its left operand, counting those of each batch."""
    walked = zip((*reader.batch, reader.m, reader.k), reader.a.strides, strict=True)
    return product([reader.n, *(size for size, stride in walked if stride == 0)])


def _pays(call: Map | Row, lazy: Lazy, readers: int) -> bool:
    """Whether readers that compute the operand move fewer bytes than a kernel that stores it, and they."""
    made = call.output.tensor.elements
    others = [t for t in lazy.tensors if t.kind != "weight"]
    large = sum(not at_least(occupied(made - t.elements * 2), 0) for t in others)
    stays = large if isinstance(call, Row) else 0  # what the kernel that is left reads
    return large * readers + stays < large + 1 + readers


def _reader(reader: KernelCall, call: Map | Row, lazy: Lazy) -> MatMul | None:
    """The product, computing the left operand that `call` stores; None where it cannot."""
    tensor = call.output.tensor
    if not isinstance(reader, MatMul) or at_least(FEW, occupied(reader.m)):
        return None
    if reader.left is not None or reader.prologue is not None or in_float64(reader):
        return None
    if reader.a.tensor is not tensor or any(v.tensor is tensor for v in (reader.b, *reader.inputs)):
        return None
    seen = _seen(reader, call, lazy)
    if seen is None:
        return None
    space, rows = seen
    left = Operand(
        name=call.name,
        origins=call.origins,
        inputs=tuple(space.views),
        output=View(tensor, 0, contiguous_strides(space.sizes)),
        sizes=tuple(space.sizes),
        body=space.trees[0],
        rows=rows,
    )
    made = replace(reader, left=left, origins=(*reader.origins, *call.origins))
    return made if len(made.tensors()) <= MAX_TENSORS_READ + 1 else None


def _seen(reader: MatMul, call: Map | Row, lazy: Lazy) -> tuple[Space, int] | None:
    """The operand over the reader's axes, of which m and k may be several, and how many are m.

    None where strides cannot say it.
    """
    first = len(reader.batch)
    found = Composition.of(reader.a, (*reader.batch, reader.m, reader.k), call)
    views = None if found is None else found.over(lazy.leaves)
    if found is None or views is None or any(len(p) > 1 for p in found.parts[:first]):
        return None
    space = Space(found.sizes, views, [lazy.tree])
    rows = len(found.parts[first])
    space.merge(first + rows, len(space.sizes))
    columns = len(space.sizes) - first - rows  # what is left of them
    space.merge(first, first + rows)
    return space, len(space.sizes) - first - columns
