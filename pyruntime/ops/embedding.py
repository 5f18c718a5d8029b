"""Row lookup, as a one-hot matrix times a weight: what the converter makes of that pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pyruntime.ir.graph import Value
from pyruntime.ops.definition import Case, OpDef, OpError, TensorType

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Embedding(OpDef):
    """Rows of weight [n, width] at integer indices of any shape.

    A negative index counts from the end; one outside [-n, n) gives zeros, as OneHot does.
    """

    name: ClassVar[str] = "Embedding"
    attrs: ClassVar[Mapping[str, Any]] = {"axis": 0}
    cases: ClassVar[Sequence[Case]] = (
        Case((("float32", (7, 5)), ("int64", (2, 3))), low=-8, high=8),
        Case((("float32", (5, 3)), ("int32", (4,))), label="symbolic", symbols={(1, 0): "n"}, low=-6, high=6),
    )

    def infer(self, inputs: Sequence[Value | None], attrs: Mapping[str, Any]) -> list[TensorType]:
        """indices' shape, then the row's."""
        weight, indices = inputs
        assert weight is not None
        assert indices is not None
        if attrs["axis"] != 0 or weight.rank != 2 or not indices.dtype.is_integer:
            raise OpError(f"Embedding of {weight.shape} at {indices.dtype!r}")
        return [TensorType(weight.dtype, (*indices.shape, weight.shape[1]))]

    def reference(
        self, inputs: Sequence[NDArray[Any] | None], attrs: Mapping[str, Any]
    ) -> list[NDArray[Any]]:
        """Rows, zero outside."""
        import numpy as np

        weight, indices = inputs
        assert weight is not None
        assert indices is not None
        n = weight.shape[0]
        wrapped = np.where(indices < 0, indices.astype(np.int64) + n, indices)
        inside = (wrapped >= 0) & (wrapped < n)
        rows = weight[np.where(inside, wrapped, 0).astype(np.int64)]
        return [np.where(inside[..., None], rows, 0).astype(weight.dtype)]
