"""Map in C: loops over the iteration space, the innermost along the axis that vectors suit best."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pyruntime.ir.dims import Dim, ceildiv, product
from pyruntime.ir.kernel import Map
from pyruntime.ir.scalar import cost
from pyruntime_wasm.kernels import Argument, render_template
from pyruntime_wasm.kernels._nest import Nest, Site
from pyruntime_wasm.kernels._share import POINTS, SCALAR_WORK, VECTOR_WORK, best_cut
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
        return _Plan(call).nest.parameters.arguments

    def render(self, call: Map, name: str) -> str:
        """One function."""
        plan = _Plan(call)
        nest, inner, vector = plan.nest, plan.inner, plan.vector
        site, whole = _site(plan), _site(plan, "s")
        body, sixteen = site.finish(call.body), whole.sixteen(call.body)
        return render_template(
            "map",
            name=name,
            signature=nest.parameters.signature,
            outer=[a for a in range(nest.rank) if a != inner],
            inner=inner,
            step=4 if vector else 1,
            shared=plan.shared,
            points=POINTS,
            prologue=[
                *site.prologue([call.body], stored=True),
                *site.outside,
                *(whole.outside if sixteen else []),
            ],
            body=body,
            sixteen=sixteen,
        )


class _Plan:
    """How one call is computed."""

    def __init__(self, call: Map) -> None:
        self.nest = nest = Nest(call, call.sizes, [call.body])
        self.inner = inner = _inner_axis(call, nest)
        self.vector = (
            inner is not None
            and nest.stores_lanes(call.output.tensor.dtype)
            and nest.holds_lanes([call.body], inner, inner)
        )
        # what indices name twice is written in the order of the loops
        self.shared = inner is not None and not call.output.indirect
        if self.shared:
            units = [ceildiv(n, POINTS) if axis == inner else n for axis, n in enumerate(call.sizes)]
            each = (cost(call.body) + len(nest.operands)) * (VECTOR_WORK if self.vector else SCALAR_WORK)
            nest.parameters.share(best_cut(list(enumerate(units)), product(call.sizes) * each))


def _site(plan: _Plan, prefix: str = "t") -> Site:
    """The body's place in the innermost loop."""
    mode, lanes = (VECTOR, plan.inner) if plan.vector else (SCALAR, None)
    return Site(plan.nest, mode, plan.inner, lanes, prefix=prefix, hoists=plan.inner is not None)


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
