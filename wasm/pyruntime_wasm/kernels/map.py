"""Map in C: loops over the iteration space, the innermost along the axis that vectors suit best."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pyruntime.ir.dims import Dim
from pyruntime.ir.kernel import Map
from pyruntime_wasm.kernels import Argument, render_template
from pyruntime_wasm.kernels._nest import Nest, Site
from pyruntime_wasm.printer import SCALAR, VECTOR


class MapKernel:
    """See `Kernel`."""

    def key(self, call: Map) -> Hashable:
        """The code itself."""
        return self.render(call, "map")

    def scratch(self, call: Map) -> Dim:
        """None."""
        return 0

    def arguments(self, call: Map) -> Sequence[Argument]:
        """Views with their strides, sizes, guards."""
        return _nest(call).parameters.arguments

    def render(self, call: Map, name: str) -> str:
        """One function."""
        nest = _nest(call)
        inner = _inner_axis(call, nest)
        vector = (
            inner is not None
            and nest.stores_lanes(call.output.tensor.dtype)
            and nest.holds_lanes([call.body], inner, inner)
        )
        site = Site(nest, VECTOR if vector else SCALAR, inner, inner if vector else None)
        return render_template(
            "map",
            name=name,
            signature=nest.parameters.signature,
            outer=[a for a in range(nest.rank) if a != inner],
            inner=inner,
            step=4 if vector else 1,
            prologue=site.prologue([call.body], stored=True),
            body=site.finish(call.body),
        )


def _nest(call: Map) -> Nest:
    return Nest(call, call.sizes, [call.body])


def _inner_axis(call: Map, nest: Nest) -> int | None:
    """The axis along which most operands lie, the output before all; the last of equals."""
    if not nest.rank:
        return None
    weights = {name: len(nest.operands) + 1 if name == "out" else 1 for name in nest.operands}

    def score(axis: int) -> tuple[bool, int, int]:
        size = call.sizes[axis]
        units = sum(w for name, w in weights.items() if nest.operands[name].strides[axis] == "1")
        return not (isinstance(size, int) and size < 4), units, axis

    return max(range(nest.rank), key=score)


KERNEL = MapKernel()
