"""Ops that only move elements: Reshape, Transpose, Slice, Expand, Concat, Pad, Tile; and tensors of dims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import Dim, at_least, product, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import (
    REQUIRED,
    Case,
    OpDef,
    TensorType,
    broadcast,
    normal_axis,
    present,
    require,
)

Array = NDArray[Any]
Attrs = Mapping[str, Any]
Inputs = Sequence[Value | None]
Arrays = Sequence[Array | None]

F16, F32, I32, I64, U8, BOOL = DType.F16, DType.F32, DType.I32, DType.I64, DType.U8, DType.BOOL
BATCH = {(0, 0): "batch"}
batch, length = symbol("batch"), symbol("length")


def only(inputs: Sequence[Array | None]) -> Array:
    """The array of an op with one input."""
    (array,) = inputs
    assert array is not None
    return array


class Reshape(OpDef):
    """The same elements in row-major order, in another shape.

    Attributes:
        shape: the new sizes, all known (as dims). A shape that may hold other than the input's elements for
            some symbols is taken when it can hold as many for others; running with such symbols is an error.
    """

    name = "Reshape"
    any_type = True
    attrs: ClassVar = {"shape": REQUIRED}
    contents = True
    cases = (
        Case(((F32, (2, 3, 5)),), {"shape": (5, 6)}, "merge"),
        Case(((F32, (6,)),), {"shape": (2, 1, 3)}, "split"),
        Case(((F32, ()),), {"shape": (1, 1)}, "scalar"),
        Case(((F32, (0, 3)),), {"shape": (3, 0, 7)}, "empty"),
        Case(((F32, (3, 4, 7)),), {"shape": (batch * 4, 7)}, "dynamic", BATCH),
        Case(((F16, (4, 6)),), {"shape": (batch // 2, 12)}, "dynamic-f16", BATCH),
        Case(((BOOL, (2, 3)),), {"shape": (6,)}, "bool"),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        (x,) = present(inputs, 1)
        shape: tuple[Dim, ...] = attrs["shape"]
        target = product(shape)
        differ = at_least(x.elements, target + 1) or at_least(target, x.elements + 1)
        require(not differ, f"cannot reshape {x.shape} to {shape}: {x.elements} elements are not {target}")
        return [TensorType(x.dtype, shape)]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        return [only(inputs).reshape(attrs["shape"])]


class Transpose(OpDef):
    """Axes in another order.

    Attributes:
        perm: for each output axis the input axis that it is.
    """

    name = "Transpose"
    any_type = True
    attrs: ClassVar = {"perm": REQUIRED}
    contents = True
    cases = (
        Case(((F32, (3, 5)),), {"perm": (1, 0)}, "matrix"),
        Case(((F32, (2, 3, 5, 7)),), {"perm": (0, 2, 3, 1)}, "nhwc"),
        Case(((F32, (2, 3, 5, 7)),), {"perm": (3, 1, 0, 2)}, "any"),
        Case(((F32, ()),), {"perm": ()}, "scalar"),
        Case(((I64, (2, 0, 3)),), {"perm": (2, 0, 1)}, "empty"),
        Case(((F32, (3, 5, 2)),), {"perm": (1, 0, 2)}, "dynamic", {(0, 0): "batch", (0, 1): "length"}),
        Case(((U8, (17, 19)),), {"perm": (1, 0)}, "u8"),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        (x,) = present(inputs, 1)
        perm = attrs["perm"]
        require(sorted(perm) == list(range(x.rank)), f"perm {perm} does not order {x.rank} axes")
        return [TensorType(x.dtype, tuple(x.shape[p] for p in perm))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        return [only(inputs).transpose(attrs["perm"])]


class Permute(OpDef):
    """As Transpose, in an order that only the run knows.

    Attributes:
        order: for each output axis one number for each input axis: 1 where it is that one, else 0 (dims).
        shape: the sizes in that order (dims).
    """

    name = "Permute"
    attrs: ClassVar = {"order": REQUIRED, "shape": REQUIRED}
    cases = (
        Case(((F32, (3, 5)),), {"order": (0, 1, 1, 0), "shape": (5, 3)}, "matrix"),
        Case(((I64, (2, 0, 3)),), {"order": (0, 1, 0, 0, 0, 1, 1, 0, 0), "shape": (0, 3, 2)}, "empty"),
        Case(
            ((F32, (3, 5)),),
            {
                "order": (batch % 2, 1 - batch % 2, 1 - batch % 2, batch % 2),
                "shape": (5 + (batch % 2) * (batch - 5), batch + (batch % 2) * (5 - batch)),
            },
            "dynamic",
            BATCH,
        ),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        (x,) = present(inputs, 1)
        order, shape = attrs["order"], attrs["shape"]
        require(len(order) == x.rank**2 and len(shape) == x.rank, f"it does not order {x.rank} axes")
        return [TensorType(x.dtype, tuple(shape))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        x = only(inputs)
        order = np.array(attrs["order"]).reshape(x.ndim, x.ndim)
        return [x.transpose(order.argmax(axis=1))]


class Slice(OpDef):
    """Element start + i * step along each axis, for i below size.

    Attributes:
        starts: for each axis the first position, not negative (a dim).
        sizes: for each axis how many (a dim).
        steps: for each axis how far from one to the next (a dim). One that is not known may be 0, which gives
            the same element again.
    """

    name = "Slice"
    any_type = True
    attrs: ClassVar = {"starts": REQUIRED, "sizes": REQUIRED, "steps": REQUIRED}
    contents = True
    cases = (
        Case(((F32, (7, 5)),), {"starts": (1, 2), "sizes": (3, 2), "steps": (2, 1)}, "steps"),
        Case(((F32, (7, 5)),), {"starts": (6, 4), "sizes": (7, 3), "steps": (-1, -2)}, "backwards"),
        Case(((F32, (4,)),), {"starts": (2,), "sizes": (0,), "steps": (1,)}, "empty"),
        Case(((F32, (2, 3, 11)),), {"starts": (0, 0, 3), "sizes": (2, 3, 7), "steps": (1, 1, 1)}, "last"),
        Case(
            ((F32, (5, 3)),), {"starts": (1, 0), "sizes": (batch - 1, 3), "steps": (1, 1)}, "dynamic", BATCH
        ),
        Case(
            ((I32, (5, 3)),), {"starts": (batch - 1, 0), "sizes": (batch, 3), "steps": (-1, 1)}, "flip", BATCH
        ),
        Case(
            ((F32, (5, 7)),),
            {"starts": (0, 6), "sizes": (batch, 6 // batch + 1), "steps": (1, batch * -1)},
            "dynamic-step",
            BATCH,
        ),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        (x,) = present(inputs, 1)
        starts, sizes, steps = attrs["starts"], attrs["sizes"], attrs["steps"]
        require(len(starts) == len(sizes) == len(steps) == x.rank, f"slices all {x.rank} axes or none")
        for dim, start, size, step in zip(x.shape, starts, sizes, steps, strict=True):
            require(step != 0, "step 0")
            last = start + (size - 1) * step
            outside = any(at_least(-1, p) or at_least(p, dim) for p in (start, last))
            outside = outside if at_least(size, 1) else at_least(-1, size)  # an empty part lies nowhere
            require(not outside, f"{start} to {last} is outside an axis of {dim}")
        return [TensorType(x.dtype, tuple(sizes))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        x = only(inputs)
        for axis, (start, size, step) in enumerate(
            zip(attrs["starts"], attrs["sizes"], attrs["steps"], strict=True)
        ):
            x = x.take(start + np.arange(size) * step, axis=axis)
        return [x]


class Expand(OpDef):
    """The input broadcast against a shape, both ways, as NumPy does.

    Attributes:
        shape: the other shape (dims); a size 1 there keeps the input's.
    """

    name = "Expand"
    any_type = True
    attrs: ClassVar = {"shape": REQUIRED}
    contents = True
    cases = (
        Case(((F32, (3, 1)),), {"shape": (2, 1, 5)}, "both"),
        Case(((F32, (5,)),), {"shape": (3, 5)}, "rows"),
        Case(((F32, (2, 3)),), {"shape": (1,)}, "same"),
        Case(((F32, ()),), {"shape": (2, 7)}, "scalar"),
        Case(((F32, (1, 3)),), {"shape": (0, 3)}, "empty"),
        Case(((F32, (3, 1, 5)),), {"shape": (batch, 4, 5)}, "dynamic", BATCH),
        Case(((BOOL, (1, 3)),), {"shape": (4, 3)}, "bool"),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        (x,) = present(inputs, 1)
        return [TensorType(x.dtype, broadcast([x.shape, attrs["shape"]]))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        x = only(inputs)
        return [np.broadcast_to(x, np.broadcast_shapes(x.shape, attrs["shape"])).copy()]


class Concat(OpDef):
    """The inputs one after another along an axis.

    Attributes:
        axis: the axis, at least 0.
    """

    name = "Concat"
    any_type = True
    attrs: ClassVar = {"axis": REQUIRED}
    contents = True
    cases = (
        Case(((F32, (2, 3)), (F32, (2, 5)), (F32, (2, 1))), {"axis": 1}, "last"),
        Case(((F32, (3, 4)), (F32, (2, 4))), {"axis": 0}, "first"),
        Case(((F32, (2, 3, 5)), (F32, (2, 7, 5))), {"axis": 1}, "middle"),
        Case(((F32, (2, 0)), (F32, (2, 3))), {"axis": 1}, "empty"),
        Case(((I64, (3,)),), {"axis": 0}, "one"),
        Case(((F32, (3, 2)), (F32, (3, 4))), {"axis": 1}, "dynamic", {(0, 0): "batch", (1, 0): "batch"}),
        Case(((F32, (3, 2)), (F32, (5, 2))), {"axis": 0}, "dynamic-axis", {(0, 0): "a", (1, 0): "b"}),
        Case(((U8, (1, 3)), (U8, (2, 3))), {"axis": 0}, "u8"),
    )

    def of_nothing(self, attrs: Mapping[str, Any]) -> bool:
        """The other inputs."""
        return True

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        values = present(inputs, len(inputs))
        require(bool(values), "concatenates nothing")
        first, axis = values[0], normal_axis(attrs["axis"], values[0].rank)
        total: Dim = 0
        for value in values:
            require(value.dtype is first.dtype, f"concatenates {first.dtype!r} and {value.dtype!r}")
            others = [s[:axis] + s[axis + 1 :] for s in (first.shape, value.shape)]
            require(
                value.rank == first.rank and others[0] == others[1],
                f"shapes {first.shape} and {value.shape} differ beside axis {axis}",
            )
            total = total + value.shape[axis]
        return [TensorType(first.dtype, (*first.shape[:axis], total, *first.shape[axis + 1 :]))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        return [np.concatenate([a for a in inputs if a is not None], axis=attrs["axis"])]


class Pad(OpDef):
    """Elements added before and after each axis; negative amounts remove elements first.

    Attributes:
        before, after: for each axis how many (dims).
        mode: "constant", or from the input: "reflect" (without the edge), "edge", "wrap".
        value: what "constant" adds.
    """

    name = "Pad"
    any_type = True
    attrs: ClassVar = {"before": REQUIRED, "after": REQUIRED, "mode": "constant", "value": 0.0}
    MODES = ("constant", "reflect", "edge", "wrap")
    cases = (
        Case(((F32, (3, 5)),), {"before": (1, 0), "after": (0, 2), "value": 1.5}, "constant"),
        Case(((F32, (3, 5)),), {"before": (-1, 2), "after": (1, -2), "value": -1.0}, "crop"),
        Case(((F32, (3, 5)),), {"before": (0, -2), "after": (0, -1)}, "crop-only"),
        Case(((F32, (5, 7)),), {"before": (2, 3), "after": (1, 4), "mode": "reflect"}, "reflect"),
        Case(((F32, (3, 5)),), {"before": (2, 0), "after": (1, 6), "mode": "edge"}, "edge"),
        Case(((F32, (3, 5)),), {"before": (1, 2), "after": (2, 0), "mode": "wrap"}, "wrap"),
        Case(((F32, (5, 7)),), {"before": (-1, 2), "after": (3, -2), "mode": "reflect"}, "reflect-crop"),
        Case(
            ((F32, (3, 4)),), {"before": (2, 1), "after": (1, 3), "mode": "reflect"}, "reflect-dynamic", BATCH
        ),
        Case(((F32, (3, 4)),), {"before": (2, 1), "after": (1, 3), "mode": "edge"}, "edge-dynamic", BATCH),
        Case(((F32, (3, 4)),), {"before": (2, 1), "after": (1, 3), "mode": "wrap"}, "wrap-dynamic", BATCH),
        Case(((I32, (4,)),), {"before": (2,), "after": (3,), "value": 7}, "i32"),
        Case(((F32, (0, 2)),), {"before": (1, 1), "after": (1, 0)}, "empty"),
        Case(((F32, (2,)),), {"before": (1,), "after": (1,), "value": -np.inf}, "infinite"),
        Case(((F32, (3, 4)),), {"before": (0, 1), "after": (0, 1)}, "dynamic", BATCH),
    )

    def of_nothing(self, attrs: Mapping[str, Any]) -> bool:
        """The value alone, where it is that which is added."""
        return bool(attrs["mode"] == "constant")

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        (x,) = present(inputs, 1)
        before, after, mode = attrs["before"], attrs["after"], attrs["mode"]
        require(len(before) == len(after) == x.rank, f"pads all {x.rank} axes or none")
        require(mode in self.MODES, f"mode {mode!r} is none of {', '.join(self.MODES)}")
        reach = {"constant": None, "reflect": -1, "edge": None, "wrap": 0}[mode]
        for dim, b, a in zip(x.shape, before, after, strict=True):
            kept = dim + (min(b, 0) if isinstance(b, int) else 0) + (min(a, 0) if isinstance(a, int) else 0)
            for amount in (b, a):
                beyond = reach is not None and at_least(amount, kept + reach + 1) and at_least(amount, 1)
                require(not beyond, f"cannot {mode} {amount} of an axis of {kept}")
            added = at_least(b, 1) or at_least(a, 1)
            require(mode == "constant" or not (kept == 0 and added), f"cannot {mode} an empty axis")
        return [TensorType(x.dtype, tuple(d + b + a for d, b, a in zip(x.shape, before, after, strict=True)))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        x = only(inputs)
        amounts = list(zip(attrs["before"], attrs["after"], strict=True))
        x = x[tuple(slice(max(-b, 0), n - max(-a, 0)) for (b, a), n in zip(amounts, x.shape, strict=True))]
        widths = [(max(b, 0), max(a, 0)) for b, a in amounts]
        if attrs["mode"] == "constant":
            return [np.pad(x, widths, constant_values=x.dtype.type(attrs["value"]))]
        return [np.pad(x, widths, mode=attrs["mode"])]


class Tile(OpDef):
    """The input repeated along each axis.

    Attributes:
        repeats: for each axis how often (dims).
    """

    name = "Tile"
    any_type = True
    attrs: ClassVar = {"repeats": REQUIRED}
    contents = True
    cases = (
        Case(((F32, (2, 3)),), {"repeats": (1, 2)}, "last"),
        Case(((F32, (2, 3, 5)),), {"repeats": (2, 3, 1)}, "middle"),
        Case(((F32, (4,)),), {"repeats": (0,)}, "empty"),
        Case(((F32, (1, 3)),), {"repeats": (5, 1)}, "expand"),
        Case(((F32, (3, 2)),), {"repeats": (1, 3)}, "dynamic", BATCH),
        Case(((I64, (3,)),), {"repeats": (2,)}, "i64"),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        (x,) = present(inputs, 1)
        repeats = attrs["repeats"]
        require(len(repeats) == x.rank, f"repeats {repeats} do not fit {x.shape}")
        require(not any(at_least(-1, r) for r in repeats), f"repeats {repeats} are negative")
        return [TensorType(x.dtype, tuple(d * r for d, r in zip(x.shape, repeats, strict=True)))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        return [np.tile(only(inputs), attrs["repeats"])]


class DimTensor(OpDef):
    """A tensor whose elements are dims: what a Shape gives where a computation reads it.

    Attributes:
        dims: the elements in row-major order (dims).
        shape: integers.
        dtype: an integer type or bool (0 and 1).
    """

    name = "DimTensor"
    attrs: ClassVar = {"dims": REQUIRED, "shape": REQUIRED, "dtype": I64}
    cases = (
        Case((), {"dims": (3, 5), "shape": (2,)}, "i64"),
        Case((), {"dims": (7,), "shape": (), "dtype": I32}, "i32"),
        Case((), {"dims": (1, 0, 1), "shape": (3, 1), "dtype": BOOL}, "bool"),
        Case((), {"dims": (200, 3), "shape": (2,), "dtype": U8}, "u8"),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        present(inputs, 0)
        dims, shape, dtype = attrs["dims"], attrs["shape"], attrs["dtype"]
        require(not dtype.is_float, f"a tensor of dims holds integers or bool, not {dtype!r}")
        require(product(shape) == len(dims), f"{len(dims)} dims do not fill {shape}")
        return [TensorType(dtype, tuple(shape))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        return [np.array(attrs["dims"], attrs["dtype"].value).reshape(attrs["shape"])]
