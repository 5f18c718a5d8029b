"""What the shader of every kernel has: bindings, uniform words, functions that load and store.

A kernel module makes a `Module` for a call, asks it for words and printed trees, and finishes it to a
`Kernel`: the values of its template, and the dims that go with them at run time.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Container, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import jinja2

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim, ceildiv, minimum
from pyruntime.ir.dtypes import DType, needs_pair
from pyruntime.ir.kernel import KernelCall, Map
from pyruntime.ir.scalar import Acc, Index, Load, Scalar, Size
from pyruntime.ir.views import Guard, Tensor, View
from pyruntime_shaders import library, pairs
from pyruntime_shaders.intervals import DIM_LIMIT, Interval, bounds, limits
from pyruntime_shaders.printer import (
    Block,
    Printer,
    Unprintable,
    cast_text,
    letter,
    literal,
    storage_type,
    value_type,
)
from pyruntime_shaders.storage import Access, Binding, Form, Memory

INFINITY_BITS = 0x7F800000
MAX_GROUPS = 65535  # workgroups a dimension
MAX_BUFFERS = 8  # storage buffers a stage
FEW_LANES = 8  # threads that share a row and each read what all have, which takes one barrier

Workgroups = tuple[Dim, Dim, Dim]


def fold(groups: Dim) -> tuple[Dim, Dim]:
    """A count of workgroups as x and y within the limit; x * y >= groups, and 0 stays 0."""
    return minimum(groups, MAX_GROUPS), ceildiv(groups, MAX_GROUPS)


class Word(NamedTuple):
    """One member of the uniform block."""

    name: str
    type: str


class LoadFunction(NamedTuple):
    """What the template prints as a function from a point, an index for each of `axes`, to an element."""

    name: str
    axes: tuple[str, ...]
    type: str
    address: Address
    fill: str
    buffer: str
    value: str  # the value of what is read, which stands for {}
    vector: bool = False  # whether it gives four elements, of an array of vec4


class Address(NamedTuple):
    """Where a view's element lies: tests of validity, indices read from memory, and the position."""

    guards: tuple[str, ...]  # conditions under which there is no element
    indices: tuple[tuple[str, str, str], ...]  # name, value, condition under which there is no element
    position: str


@dataclass(frozen=True)
class Kernel:
    """One dispatch: a template's values (its static part) and the run-time dims that go with them.

    Attributes:
        template: the file in templates/, without its ending.
        values: the template's variables, sorted by name.
        words: the uniform words from word 1 on, in the order of the shader's block.
        workgroups: the counts in x, y and z; a zero anywhere means there is nothing to do.
        tensors: the storage buffers in binding order.
        interval: what the integers that it writes lie in; None for other dtypes.
    """

    template: str
    values: tuple[tuple[str, Hashable], ...]
    words: tuple[Dim, ...]
    workgroups: Workgroups
    tensors: tuple[Tensor, ...]
    interval: Interval | None = None

    @property
    def key(self) -> Hashable:
        """The static part: kernels with equal keys share one shader."""
        return (self.template, self.values)

    @property
    def access(self) -> tuple[Access, ...]:
        """Access mode of each storage buffer: read or read_write."""
        return tuple(b.access for b in self.bindings)

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """The storage buffers as the shader sees them."""
        bindings = dict(self.values)["bindings"]
        assert isinstance(bindings, tuple)
        return bindings

    def over(self, forms: Mapping[Tensor, Form], beside: Container[Tensor] = ()) -> Kernel:
        """The same kernel where some tensors lie in another form than words, or beside what it writes.

        WebGPU takes a buffer for one use at a time, so that what is read `beside`, in the buffer that the
        kernel writes, is bound as if it were written. The ranges must not overlap.
        """
        bindings = tuple(
            b._replace(form=forms.get(t, "words"), access="read_write" if t in beside else b.access)
            for b, t in zip(self.bindings, self.tensors, strict=True)
        )
        return replace(self, values=tuple(sorted({**dict(self.values), "bindings": bindings}.items())))

    def render(self) -> str:
        """The WGSL module of this key, with entry point `main`."""
        values = {**dict(self.values), "memory": Memory(self.bindings)}
        text = environment().get_template(f"{self.template}.wgsl.j2").render(values)
        return "\n".join([text, *library.used_by(text)])


def refusal(call: KernelCall, reason: str) -> UnsupportedError:
    """The error for a call, with the op and node of the user's model."""
    op, node = (call.origins[0].op, call.origins[0].name) if call.origins else (call.template, call.name)
    return UnsupportedError(op, node, reason)


@functools.cache
def environment() -> jinja2.Environment:
    """The templates, with the delimiters that leave WGSL readable."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("pyruntime_shaders", "templates"),
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.do"],
        variable_start_string="${",
        variable_end_string="}",
        block_start_string="/*%",
        block_end_string="%*/",
        comment_start_string="/*#",
        comment_end_string="#*/",
        line_statement_prefix="//%",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.globals.update(require=_require, FEW_LANES=FEW_LANES)
    return made


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)


def contents(tensor: Tensor) -> Interval | None:
    """What the integers of a weight lie in; None for other tensors, and where there are none."""
    data = tensor.array if tensor.dtype.is_integer else None
    return (int(data.min()), int(data.max())) if data is not None and data.size else None


def loaded_range(view: View) -> Interval | None:
    """What is known of the integers that a view gives beyond their dtype."""
    if not view.tensor.dtype.is_integer:
        return None
    known = view.tensor.interval or contents(view.tensor)
    if known is None or not (view.guards or view.indirect):
        return known
    return min(known[0], int(view.fill)), max(known[1], int(view.fill))


class Module:
    """Collects the shader of one call.

    Args:
        call: the call.
        axes: the WGSL names of the iteration space's indices (i32), outermost first.
        sizes: the extents of the axes.
        vectors: tensors whose buffer is bound as vec4 of elements. Trees name what they load of such as
            `in_N`, and the template reads four at a time; of several views in trees all take one element.

    Raises:
        UnsupportedError: for more tensors than a stage may bind, and for dtypes that WebGPU lacks.
    """

    def __init__(
        self, call: KernelCall, axes: Sequence[str], sizes: Sequence[Dim], vectors: Collection[Tensor] = ()
    ) -> None:
        self.call, self.axes, self.sizes = call, tuple(axes), tuple(sizes)
        self.tensors = tuple(call.tensors())
        self.loads: list[LoadFunction] = []
        self.fours: dict[int, LoadFunction] = {}  # operands that are vectors, by number
        self._words: dict[str, tuple[Word, Dim]] = {}
        self._acc: dict[int, tuple[DType, Interval | None]] = {}
        if len(self.tensors) > MAX_BUFFERS:
            raise self.unsupported(
                f"the fused kernel has {len(self.tensors)} tensors, WebGPU binds {MAX_BUFFERS}"
            )
        last = len(self.tensors) - 1
        self.bindings = tuple(
            Binding(
                "result" if i == last else f"tensor_{i}",
                "read_write" if i == last else "read",
                self._element_type(t, t in vectors),
            )
            for i, t in enumerate(self.tensors)
        )
        viewed = Counter(v.tensor for v in (*call.reads(), call.output))
        for number, view in enumerate(call.inputs):
            load = self._load("load", call.inputs, number, self.axes, self.sizes)
            if view.tensor in vectors and viewed[view.tensor] == 1:
                self.fours[number] = load._replace(name=f"in_{number}")
            else:
                self.loads.append(load)

    def unsupported(self, reason: str) -> UnsupportedError:
        """The error for this call, with the op and node of the user's model."""
        return refusal(self.call, reason)

    def _element_type(self, tensor: Tensor, vector: bool) -> str:
        with self.typed():
            scalar = storage_type(tensor.dtype, tensor.pairs)
        return f"vec4<{scalar}>" if vector else scalar

    def buffer(self, tensor: Tensor) -> str:
        """The WGSL name of a tensor's buffer."""
        return self.bindings[self.tensors.index(tensor)].name

    def word(self, name: str, dim: Dim, type_: str = "i32") -> str:
        """A dim as a run-time value, under a name of its own."""
        word, known = self._words.setdefault(name, (Word(name, type_), dim))
        assert (known, word.type) == (dim, type_), f"word {name} is {known} and {dim}"
        return f"words.{name}"

    def extents(self, sizes: Sequence[Dim]) -> tuple[str, ...]:
        """The sizes of axes whose indices are made of one number; of the first none is needed."""
        return tuple(self.word(f"extent_{i}", d, "u32") if i else "" for i, d in enumerate(sizes))

    def position(self, name: str, view: View, axes: Sequence[str]) -> str:
        """The element that a view without guards and indices names; 0 and 1 cost no word."""
        terms = [] if view.offset == 0 else [self.word(f"{name}_offset", view.offset)]
        for number, (axis, stride) in enumerate(zip(axes, view.strides, strict=True)):
            if stride == 1:
                terms.append(axis)
            elif stride != 0:
                terms.append(f"{axis} * {self.word(f'{name}_stride_{number}', stride)}")
        return " + ".join(terms) or "0"

    def address(
        self,
        name: str,
        view: View,
        axes: Sequence[str],
        sizes: Sequence[Dim],
        operands: Sequence[View] | None = None,
        load: str = "load",
    ) -> Address:
        """Where the element lies that a view names at the point `axes` of a space of `sizes`.

        Its indices are among `operands`, by default those of the call, which functions named `load` give.
        """
        operands = self.call.inputs if operands is None else operands
        guards = [
            c for i, g in enumerate(view.guards) for c in self._guard(f"{name}_{i}", g, axes, sizes[g.axis])
        ]
        position, indices = self.position(name, view, axes), []
        for number, term in enumerate(view.indirect):
            size = self.word(f"{name}_size_{number}", term.size)
            raw = self._index(operands[term.operand], f"{load}_{term.operand}({', '.join(axes)})")
            index = f"index_{number}"
            indices.append(
                (
                    index,
                    f"wrapped_index({raw}, {size})" if term.wrap else raw,
                    f"{index} < 0 || {index} >= {size}",
                )
            )
            scaled = (
                index if term.stride == 1 else f"{index} * {self.word(f'{name}_scale_{number}', term.stride)}"
            )
            position = scaled if position == "0" else f"{position} + {scaled}"
        return Address(tuple(guards), tuple(indices), position)

    @staticmethod
    def _index(view: View, loaded: str) -> str:
        """What a view gives as an i32."""
        dtype = view.tensor.dtype
        pair = needs_pair(dtype, loaded_range(view))
        return pairs.index(loaded, dtype) if pair else cast_text(loaded, dtype, DType.I32)

    def _guard(self, name: str, guard: Guard, axes: Sequence[str], size: Dim) -> list[str]:
        axis, conditions = axes[guard.axis], []
        if guard.low != 0:
            conditions.append(f"{axis} < {self.word(f'{name}_low', guard.low)}")
        if guard.high != size:
            conditions.append(f"{axis} >= {self.word(f'{name}_high', guard.high)}")
        return conditions

    def _load(
        self, name: str, operands: Sequence[View], number: int, axes: tuple[str, ...], sizes: Sequence[Dim]
    ) -> LoadFunction:
        """The function from a point to the element, or fill, of one of some operands."""
        view = operands[number]
        dtype, own = view.tensor.dtype, f"{name}_{number}"
        pair = needs_pair(dtype, loaded_range(view))
        with self.typed():
            return LoadFunction(
                own,
                axes,
                value_type(dtype, pair),
                self.address(own, view, axes, sizes, operands, name),
                literal(view.fill, dtype, pair),
                self.buffer(view.tensor),
                "{} != 0u"
                if dtype is DType.BOOL
                else cast_text("{}", dtype, dtype, (view.tensor.pairs, pair)),
            )

    def operands(
        self, name: str, call: Map, axes: tuple[str, ...], vectors: Container[int] = ()
    ) -> tuple[list[LoadFunction], Block]:
        """A map of floats: functions `name_N` that load what it is made of, and its body over `in_N`.

        Those of `vectors` give four elements, of buffers that were said to be vectors. Errors as `block`.
        """
        found = [self._load(name, call.inputs, n, axes, call.sizes) for n in range(len(call.inputs))]
        found = [load._replace(vector=n in vectors) for n, load in enumerate(found)]
        self.loads += found

        def leaf(node: Scalar) -> str:
            assert isinstance(node, Load), f"{self.call.name}: {node!r} in what {name} computes"
            return f"in_{node.operand}"

        with self.typed():
            return found, Printer(leaf, lambda _: None).block([call.body], [False])

    def accumulates(self, index: int, dtype: DType, interval: Interval | None = None) -> None:
        """Says that `acc_{index}` holds a value of dtype, and what is known of an integer's range.

        One of 64 bits is a pair where that may not fit 32.
        """
        self._acc[index] = (dtype, interval)

    def known_range(self, leaf: Scalar) -> Interval | None:
        """What the call tells of an integer leaf beyond its dtype."""
        match leaf:
            case Load():
                return loaded_range(self.call.inputs[leaf.operand])
            case Index():
                return 0, max(self._most(self.sizes[leaf.axis]) - 1, 0)
            case Size():
                value = self.call.size_values[leaf.slot]
                most = self._most(value)
                return (most, most) if isinstance(value, int) else (-most, most)
            case Acc():
                held, known = self._acc[leaf.index]
                return known or (limits(held) if held.is_integer else None)
        return None

    @staticmethod
    def _most(dim: Dim) -> int:
        return dim if isinstance(dim, int) else DIM_LIMIT

    def leaf(self, node: Scalar) -> str:
        """The WGSL of a leaf."""
        match node:
            case Load():
                if node.operand in self.fours:
                    return self.fours[node.operand].name
                return f"load_{node.operand}({', '.join(self.axes)})"
            case Index():
                return cast_text(self.axes[node.axis], DType.I32, node.dtype)
            case Size():
                if needs_pair(node.dtype, self.known_range(node)):
                    raise Unprintable(f"the size {self.call.size_values[node.slot]} does not fit 32 bits")
                word = self.word(f"value_{node.slot}", self.call.size_values[node.slot])
                return cast_text(word, DType.I32, node.dtype)
            case Acc():
                held, known = self._acc[node.index][0], self.known_range(node)
                pair = needs_pair(held, known), needs_pair(node.dtype, known)
                # half precision is accumulated, and goes on, in single
                target = DType.F32 if node.dtype is DType.F16 else node.dtype
                return cast_text(f"acc_{node.index}", held, target, pair)
        raise TypeError(f"not a leaf: {node!r}")

    def ranges(self, tree: Scalar) -> Interval:
        """Bounds of an integer tree."""
        return bounds(tree, self.known_range)

    def block(self, trees: Sequence[Scalar], wanted: Sequence[bool] = ()) -> Block:
        """The trees printed for one scope. Raises UnsupportedError for what has no WGSL.

        `wanted` says which values must be pairs, by default what the output's tensor holds.
        """
        output = self.call.output.tensor
        wanted = wanted or [tree.dtype is output.dtype and output.pairs for tree in trees]
        with self.typed():
            return Printer(self.leaf, self.known_range).block(trees, wanted)

    def literal(self, value: float | int | bool, dtype: DType, pair: bool = False) -> str:
        """A constant. Raises UnsupportedError for dtypes that WebGPU lacks."""
        with self.typed():
            return literal(value, dtype, pair)

    def stored(self, value: str) -> str:
        """A value of the output's dtype as its stored word."""
        return f"u32({value})" if letter(self.call.output.tensor.dtype) == "b" else value

    @contextmanager
    def typed(self) -> Iterator[None]:
        """Unprintable in the block becomes UnsupportedError for this call."""
        try:
            yield
        except Unprintable as error:
            raise self.unsupported(str(error)) from None

    def finish(self, template: str, workgroups: Workgroups, **values: Hashable) -> Kernel:
        """The kernel, with the module's own template variables added."""
        result = self.address("result", self.call.output, self.axes, self.sizes)
        values |= {
            "template": template,
            "axes": self.axes,
            "bindings": self.bindings,
            "loads": tuple(self.loads),
            "fours_of_body": tuple(self.fours.values()),
            "vector_result": self.bindings[-1].vector,
            "word_type": storage_type(self.call.output.tensor.dtype, self.call.output.tensor.pairs),
            "result": result,
            "result_type": value_type(self.call.output.tensor.dtype, self.call.output.tensor.pairs),
            "result_word": self.stored("value"),
            "words": tuple(word for word, _ in self._words.values()),
            "told": values.get("told", ()),
        }
        return Kernel(
            template,
            tuple(sorted(values.items())),
            tuple(dim for _, dim in self._words.values()),
            workgroups,
            self.tensors,
            self._written(),
        )

    def _written(self) -> Interval | None:
        body = getattr(self.call, "body", None)
        return self.ranges(body) if isinstance(body, Scalar) and body.dtype.is_integer else None
