"""Left operands that products compute where they read them, instead of a kernel that stores them.

For WebGPU alone. A norm leaves what a row shares, such as its mean; the rest of it is the product's. Where a
thread computes an element for four columns alone, what many columns share had better be stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pyruntime.ir.dims import Dim, at_least, divides, floordiv, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Aside, KernelCall, Map, MatMul, Operand, Row
from pyruntime.ir.program import Program, Step
from pyruntime.ir.scalar import Acc, Call, Const, Load, Scalar, Size, cost, walk
from pyruntime.ir.symbols import occupied
from pyruntime.ir.views import Tensor, View
from pyruntime_converter.lowering.lazy import MAX_TENSORS_READ, Lazy, Pool
from pyruntime_converter.lowering.space import Space
from pyruntime_converter.lowering.views import contiguous_strides
from pyruntime_converter.targets.edits import overwritten, without, written_once

MOST_COST = 8  # for an element
MOST_WORK = 1280  # the same, times the columns of all that read it, for 8 bytes less that are moved
FEW = 4  # rows, beside whose product the bytes of an operand do not show

# of each axis of an operand, those of what computes it, outermost first
Axes = Sequence[Sequence[int]]


def compute_operands(program: Program) -> Program:
    """The program without Maps and norms that only products read, and that these can compute.

    `program` stays as it is; the result shares its tensors. Programs that set symbols of their own are left
    alone.
    """
    if program.own_symbols:
        return program
    steps = [*program.steps]
    for step in program.steps:
        if isinstance(step, Map) or (isinstance(step, Row) and step.elementwise and not step.asides):
            _absorb(program, steps, step)
    changed = {s.name: s for s in steps}
    return without(program, {s.name for s in program.steps} - changed.keys(), changed)


def _absorb(program: Program, steps: list[Step], call: Map | Row) -> None:
    """Change the steps so that the readers of what a call computes do so themselves, if they can."""
    tensor = call.output.tensor
    calls = [s for s in steps if isinstance(s, KernelCall)]
    readers = [c for c in calls if tensor in c.tensors()[:-1]]
    if not written_once(program, calls, tensor) or not readers or not tensor.dtype.is_float:
        return
    if not all(map(_narrow, (call, *readers))):
        return
    if isinstance(call, Row) and not any(isinstance(n, Acc) for n in walk(call.body)):
        return
    rows, tree, leaves = (None, call.body, call.inputs) if isinstance(call, Map) else _divided(call)
    if rows is not None and any(
        t.dtype is not DType.F32 for t in (rows.body, *(a.body for a in rows.asides))
    ):
        return
    sizes_free = not any(isinstance(n, (Acc, Size)) for n in walk(tree))
    if not sizes_free or cost(tree) > MOST_COST or not _simple(tree):
        return
    columns = sum((r.n for r in readers if isinstance(r, MatMul)), start=0)
    if not at_least(MOST_WORK, columns * cost(tree)):
        return
    pool = Pool()
    lazy = Lazy(call.sizes, pool.add(Lazy(call.sizes, tree, leaves)), tuple(pool.leaves))
    if not _pays(call, lazy, len(readers)):
        return
    made = [_reader(r, call, lazy) for r in readers]
    last = max(steps.index(r) for r in readers)
    if not all(made) or overwritten(steps[steps.index(call) + 1 : last + 1], lazy.tensors):
        return
    for reader, one in zip(readers, made, strict=True):
        assert one is not None
        steps[steps.index(reader)] = one
    if rows is None:
        steps.remove(call)
    else:
        steps[steps.index(call)] = rows


def _narrow(call: KernelCall) -> bool:
    """Whether a call computes nothing of 64 bits, which a GPU may leave to the CPU."""
    trees = [t for t in (getattr(call, "body", None),) if t is not None]
    trees += [r.body for r in getattr(call, "reductions", ())]
    return all(n.dtype.bits <= 32 for t in trees for n in walk(t)) and call.output.tensor.dtype.bits <= 32


def _simple(tree: Scalar) -> bool:
    """Whether the tree computes floats of floats, whatever the indices."""
    leaves = [n for n in walk(tree) if not isinstance(n, Call)]
    kinds = all(isinstance(n, (Load, Const)) and n.dtype in (DType.F16, DType.F32) for n in leaves)
    return kinds and all(n.dtype in (DType.F16, DType.F32, DType.BOOL) for n in walk(tree))


def _pays(call: Map | Row, lazy: Lazy, readers: int) -> bool:
    """Whether readers that compute the operand move fewer bytes than a kernel that stores it, and they."""
    made = call.output.tensor.elements
    others = [t for t in lazy.tensors if t.kind != "weight"]
    large = sum(not at_least(occupied(made - t.elements * 2), 0) for t in others)
    stays = large if isinstance(call, Row) else 0  # what the kernel that is left reads
    return large * readers + stays < large + 1 + readers


# what rows share ------------------------------------------------------------------------------------------


def _divided(call: Row) -> tuple[Row, Scalar, tuple[View, ...]]:
    """What is left of a norm, which stores what each row shares, and its elements in terms of these."""
    outer = len(call.sizes) - call.reduced
    found: list[Scalar] = []
    still: dict[int, tuple[bool, bool]] = {}  # by node: whether a row decides it, and by a reduction
    done: dict[int, Scalar] = {}
    inverses: list[Scalar] = []
    for node in walk(call.body):
        if isinstance(node, Call):
            parts = [still[id(a)] for a in node.args]
            still[id(node)] = all(p[0] for p in parts), any(p[1] for p in parts)
        else:
            fixed = isinstance(node, (Acc, Const, Size)) or (
                isinstance(node, Load) and _of_rows(call, call.inputs[node.operand], outer)
            )
            still[id(node)] = fixed, isinstance(node, Acc)

    def inverse(node: Scalar) -> Scalar:
        inverses.append(Call(node.dtype, "div", (Const(node.dtype, 1.0), node)))
        still[id(inverses[-1])] = True, True
        return inverses[-1]

    def rest(node: Scalar) -> Scalar:
        if id(node) not in done:
            if all(still[id(node)]):
                if node not in found:
                    found.append(node)
                done[id(node)] = Load(node.dtype, len(call.inputs) + found.index(node))
            elif isinstance(node, Call):
                args, function = node.args, node.function
                if function == "div" and all(still[id(args[1])]):  # a row divides once
                    function, args = "mul", (args[0], inverse(args[1]))
                ones = [a for a in args if a == Const(node.dtype, 1.0)] if function == "mul" else []
                factors = [rest(a) for a in args if a not in ones]
                single = len(ones) == 1
                done[id(node)] = factors[0] if single else Call(node.dtype, function, tuple(map(rest, args)))
            else:
                done[id(node)] = node
        return done[id(node)]

    tree = rest(call.body)
    views = _shared(call, outer, len(found))
    pool = Pool()
    bodies = [pool.add(Lazy(call.sizes, t, call.inputs, call.size_values)) for t in found]
    reductions = tuple(
        replace(r, body=pool.add(Lazy(call.sizes, r.body, call.inputs, call.size_values)))
        for r in call.reductions
    )
    left = replace(
        call,
        inputs=tuple(pool.leaves),
        size_values=tuple(pool.sizes),
        output=views[0],
        reductions=reductions,
        body=bodies[0],
        elementwise=False,
        asides=tuple(Aside(v, b) for v, b in zip(views[1:], bodies[1:], strict=True)),
    )
    return left, tree, (*call.inputs, *views)


def _of_rows(call: Row, view: View, outer: int) -> bool:
    """Whether a view gives the same for all of a row."""
    moves = any(s != 0 for s in view.strides[outer:]) or any(g.axis >= outer for g in view.guards)
    return not moves and all(_of_rows(call, call.inputs[i.operand], outer) for i in view.indirect)


def _shared(call: Row, outer: int, count: int) -> list[View]:
    """Where so many float32 of each row lie, all of the first before those of the second."""
    sizes = call.sizes[:outer]
    tensor = Tensor(f"{call.output.tensor.name}.rows", DType.F32, product(sizes) * count)
    strides = (*contiguous_strides(sizes), *(0,) * call.reduced)
    return [View(tensor, product(sizes) * i, strides) for i in range(count)]


# what products compute ------------------------------------------------------------------------------------


def _reader(reader: KernelCall, call: Map | Row, lazy: Lazy) -> MatMul | None:
    """The product, computing the left operand that `call` stores; None where it cannot."""
    tensor = call.output.tensor
    if not isinstance(reader, MatMul) or at_least(FEW, occupied(reader.m)):
        return None
    if reader.left is not None or reader.prologue is not None:
        return None
    if reader.a.tensor is not tensor or any(v.tensor is tensor for v in (reader.b, *reader.inputs)):
        return None
    composed = _composed(reader, call, lazy)
    if composed is None:
        return None
    space, rows = composed
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


def _composed(reader: MatMul, call: Map | Row, lazy: Lazy) -> tuple[Space, int] | None:
    """The operand over the reader's axes, of which m and k may be several, and how many are m.

    None where strides cannot say it.
    """
    view, made = reader.a, call.output
    if view.offset != 0 or made.offset != 0 or any(v.guards or v.indirect for v in (view, made)):
        return None
    sizes = (*reader.batch, reader.m, reader.k)
    if made.strides == (1,):
        if any(v.guards for v in lazy.leaves):
            return None
        return Space([*sizes], [_scaled(v, view) for v in lazy.leaves], [lazy.tree]), 1
    axes = list[Sequence[int]]()
    for found in _walked(sizes, view, call.sizes, made):
        if found is None or (len(found) > 1 and len(axes) < len(reader.batch)):
            return None
        axes.append(found)
    walked = {a for found in axes for a in found}
    if any(g.axis not in walked for v in lazy.leaves for g in v.guards):  # of an axis of one
        return None
    return _over(sizes, axes, call.sizes, lazy)


def _walked(
    sizes: Sequence[Dim], view: View, own: Sequence[Dim], made: View
) -> Iterator[Sequence[int] | None]:
    """For each axis of a view those axes of what stores its tensor that it walks; None where it is not so."""
    free = {a for a, size in enumerate(own) if size != 1}
    for size, stride in zip(sizes, view.strides, strict=True):
        found: list[int] = []
        left, step = size, stride
        while left != 1:
            axis = next((a for a in sorted(free) if made.strides[a] == step), None)
            if axis is None or not divides(own[axis], left):
                yield None
                return
            free.remove(axis)
            found.insert(0, axis)
            left, step = floordiv(left, own[axis]), step * own[axis]
        yield found
    if free:
        yield None


def _over(sizes: Sequence[Dim], axes: Axes, own: Sequence[Dim], lazy: Lazy) -> tuple[Space, int]:
    """lazy over the axes that each axis is made of, or over itself if it is of none, and how many are m."""
    order = [a for found in axes for a in (found or (None,))]
    spread = [
        own[a] if a is not None else size for size, f in zip(sizes, axes, strict=True) for a in f or (None,)
    ]
    place = {axis: i for i, axis in enumerate(order) if axis is not None}

    def moved(view: View) -> View:
        strides = tuple(0 if a is None else view.strides[a] for a in order)
        return replace(
            view, strides=strides, guards=tuple(replace(g, axis=place[g.axis]) for g in view.guards)
        )

    space = Space(spread, [moved(v) for v in lazy.leaves], [lazy.tree])
    first, rows = len(sizes) - 2, len(axes[-2]) or 1
    space.merge(first + rows, len(space.sizes))
    columns = len(space.sizes) - first - rows  # what is left of them
    space.merge(first, first + rows)
    return space, len(space.sizes) - first - columns


def _scaled(operand: View, view: View) -> View:
    """An operand of one axis where `view` walks along that axis."""
    (step,) = operand.strides
    return replace(operand, strides=tuple(step * s for s in view.strides))
