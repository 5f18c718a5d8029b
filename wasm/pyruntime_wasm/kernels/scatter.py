"""Scatter in C: a Map that reads what it overwrites, its loops in the order in which points may meet."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pyruntime.ir.dims import Dim, ceildiv, product
from pyruntime.ir.kernel import Scatter
from pyruntime.ir.scalar import cost
from pyruntime_wasm.kernels import Argument, render_template
from pyruntime_wasm.kernels._nest import Nest, Site
from pyruntime_wasm.kernels._share import POINTS, SCALAR_WORK, best_cut
from pyruntime_wasm.printer import SCALAR


class ScatterKernel:
    """See `Kernel`."""

    def key(self, call: Scatter) -> Hashable:
        """The code itself."""
        return self.render(call, "scatter")

    def scratch(self, call: Scatter) -> Dim:
        """None."""
        return 0

    def arguments(self, call: Scatter) -> Sequence[Argument]:
        """Views with their strides, sizes, guards."""
        return _nest(call).parameters.arguments

    def render(self, call: Scatter, name: str) -> str:
        """One function."""
        nest = _nest(call)
        inner = nest.rank - 1 if nest.rank else None
        site = Site(nest, SCALAR, inner, acc=lambda _: site.present())
        return render_template(
            "map",
            name=name,
            signature=nest.parameters.signature,
            outer=[a for a in range(nest.rank) if a != inner],
            inner=inner,
            step=1,
            shared=call.ordered < nest.rank,
            points=POINTS,
            prologue=site.prologue([call.body], stored=True),
            body=site.finish(call.body),
            sixteen=None,
        )


def _nest(call: Scatter) -> Nest:
    """Points that may meet stay in one part."""
    nest = Nest(call, call.sizes, [call.body])
    last = nest.rank - 1
    units = [(a, ceildiv(n, POINTS) if a == last else n) for a, n in enumerate(call.sizes)]
    if call.ordered < nest.rank:
        work = product(call.sizes) * ((cost(call.body) + len(nest.operands)) * SCALAR_WORK)
        nest.parameters.share(best_cut(units[call.ordered :], work))
    return nest


KERNEL = ScatterKernel()
