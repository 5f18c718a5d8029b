"""The left operand of a product: read from memory, or computed of others where it is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from pyruntime.ir.dims import Dim, divides, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import MatMul, Operand
from pyruntime.ir.scalar import Load, walk
from pyruntime.ir.views import Tensor, View
from pyruntime_shaders.module import Address, LoadFunction, Module
from pyruntime_shaders.printer import value_type
from pyruntime_shaders.tiling import Computed, Element, Source, source


class Walked(NamedTuple):
    """A left operand that is computed by fours along k, for some rows at a time.

    What rows share is loaded once for all of them, and what is the same for all k before these are walked.

    Attributes:
        element: of what its elements are made of.
        before: statements over the rows `m_0`, `m_1` and so on.
        each: those that make `left_0` and so on, over k too.
    """

    element: Element
    before: tuple[str, ...]
    each: tuple[str, ...]


def vectors(call: MatMul) -> list[Tensor]:
    """Of what a left operand is computed of the tensors that may be bound as vec4, to be read by fours."""
    if call.left is None or not together(call):
        return []
    read = [*call.left.inputs]
    indices = {i.operand for v in read for i in v.indirect}
    fitting = [n for n, v in enumerate(read) if n not in indices and v.tensor.dtype.is_float and _quads(v)]
    others = [v.tensor for v in (*[*call.reads()][len(read) :], call.output)]
    others += [v.tensor for n, v in enumerate(read) if n not in fitting]
    return [t for t in dict.fromkeys(read[n].tensor for n in fitting) if t not in others]


def together(call: MatMul) -> bool:
    """Whether four elements along k, from a multiple of four on, differ along the last axis alone."""
    columns = call.left.sizes[len(call.batch) + call.left.rows :] if call.left else ()
    return bool(columns) and divides(4, columns[-1])


def left(
    module: Module,
    call: MatMul,
    outer: tuple[str, ...],
    held: DType,
    *,
    vector: bool,
    fours: Collection[Tensor] = (),
) -> Source:
    """The left operand over `outer`, m and k.

    Args:
        module: of the call.
        call: the product.
        outer: the batch axes.
        held: the dtype to which elements are converted.
        vector: whether what is read from memory is bound as vec4.
        fours: the tensors of `vectors` that are, where it is computed.

    Raises:
        UnsupportedError: as `tiling.source`.
    """
    parameters = (*outer, "m", "k")
    if call.left is None:
        sizes = (*call.batch, call.m, call.k)
        return source(module, "a", call.a, parameters, sizes, "k", vector, held=held)
    rows, depths = _sizes(call.left, len(outer))
    axes = (*outer, *_names("m", rows), *_names("k", depths))
    loads, element = _loads(module, call.left, axes, fours)
    used = [*_used(call.left)]
    made = [_four(call.left, n, loads[n], axes) for n in used] if together(call) else None
    return Source(
        "a",
        parameters,
        "k",
        (*_split(module, "m", rows), *_split(module, "k", depths)),
        Address((), (), ""),
        module.literal(0, held),
        "",
        False,
        value_type(held),
        computed=Computed(
            element,
            tuple(f"{loads[n].name}({', '.join(axes)})" for n in used),
            None if made is None else _quad(made),
        ),
    )


def walked(
    module: Module, call: MatMul, outer: tuple[str, ...], count: int, height: int, fours: Collection[Tensor]
) -> Walked:
    """A computed left operand for `count` rows at a time, out of `height` that follow each other.

    Errors as `left`.
    """
    operand = call.left
    assert operand is not None
    rows, depths = _sizes(operand, len(outer))
    names, depth_names = _names("m", rows), _names("k", depths)
    loads, element = _loads(module, operand, (*outer, *names, *depth_names), fours)
    last = len(operand.sizes) - 1
    # rows that follow each other differ along all axes but the first, where that is long enough
    apart = len(rows) > 1 and divides(height, product(rows[1:]))
    along_rows = range(len(outer) + apart, len(outer) + len(rows))
    along_k = range(len(outer) + len(rows), last + 1)
    before: list[str] = []
    each = [*_split(module, "k", depths)]
    for row in range(count) if len(rows) > 1 else ():
        before += [*_split(module, f"m_{row}", rows)]
    arguments: list[list[tuple[str, bool]]] = [[] for _ in range(count)]
    for number in _used(operand):
        shared = not _moves(operand, operand.inputs[number], along_rows)
        still = not _moves(operand, operand.inputs[number], along_k)
        for row in range(count):
            if row and shared:
                arguments[row].append(arguments[0][-1])
                continue
            own = _names(f"m_{row}", rows)
            at = (*outer, *own, *(["0"] * len(depths) if still else depth_names))
            value, differs = _four(operand, number, loads[number], at)
            name = f"in_{number}" + ("" if shared else f"_{row}")
            (before if still else each).append(f"let {name} = {value};")
            arguments[row].append((name, differs))
    each += [f"let left_{row} = {_quad(made)};" for row, made in enumerate(arguments)]
    return Walked(element, tuple(before), tuple(each))


def _sizes(operand: Operand, first: int) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
    """The sizes of the axes that are m, and of those that are k."""
    return operand.sizes[first : first + operand.rows], operand.sizes[first + operand.rows :]


def _used(operand: Operand) -> Iterator[int]:
    """The operands that are no mere indices."""
    yield from sorted({n.operand for n in walk(operand.body) if isinstance(n, Load)})


def _loads(
    module: Module, operand: Operand, axes: tuple[str, ...], fours: Collection[Tensor]
) -> tuple[list[LoadFunction], Element]:
    chosen = [n for n, v in enumerate(operand.inputs) if v.tensor in fours]
    loads, body = module.operands("left", operand, axes, chosen)
    return loads, Element(tuple(f"in_{n}" for n in _used(operand)), body)


def _four(operand: Operand, number: int, load: LoadFunction, axes: Sequence[str]) -> tuple[str, bool]:
    """What an element is computed of for four that follow along k, and whether it differs among them."""
    at = f"{load.name}({', '.join(axes)}"
    last = len(operand.sizes) - 1
    if load.vector or not _moves(operand, operand.inputs[number], range(last, last + 1)):
        return f"{at})", load.vector
    each = ", ".join(f"{at}{f' + {i}' if i else ''})" for i in range(4))
    return f"vec4<{load.type}>({each})", True


def _quad(made: Sequence[tuple[str, bool]]) -> str:
    """Four elements of what they are made of."""
    each = (f"computed_a({', '.join(f'{v}.{c}' if differs else v for v, differs in made)})" for c in "xyzw")
    return f"vec4<f32>({', '.join(each)})"


def _quads(view: View) -> bool:
    """Whether each four elements along the last axis lie in one aligned vec4."""
    steps = (view.offset, *view.strides[:-1], *(i.stride for i in view.indirect))
    last = len(view.strides) - 1
    fixed = not any(g.axis == last for g in view.guards)
    return fixed and view.strides[-1] == 1 and all(divides(4, d) for d in steps)


def _moves(operand: Operand, view: View, axes: range) -> bool:
    """Whether a view gives something else along any of the axes."""
    moves = any(view.strides[a] != 0 for a in axes) or any(g.axis in axes for g in view.guards)
    return moves or any(_moves(operand, operand.inputs[i.operand], axes) for i in view.indirect)


def _names(name: str, sizes: Sequence[Dim]) -> list[str]:
    """The names of axes that are one together, outermost first."""
    return [name] if len(sizes) == 1 else [f"{name}_at_{i}" for i in range(len(sizes))]


def _split(module: Module, name: str, sizes: Sequence[Dim]) -> Iterator[str]:
    """Statements that give their indices."""
    if len(sizes) == 1:
        return
    rest = f"u32({name})"
    for number in range(len(sizes) - 1, 0, -1):
        extent = module.word(f"{name[0]}_extent_{number}", sizes[number], "u32")
        yield f"let {name}_at_{number} = i32({rest} % {extent});"
        yield f"let {name}_over_{number} = {rest} / {extent};"
        rest = f"{name}_over_{number}"
    if sizes:
        yield f"let {name}_at_0 = i32({rest});"
