"""Cumulate in C: loops over rows, and within them one along the axis that carries the running value."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.kernel import Cumulate
from pyruntime.ir.scalar import cost
from pyruntime_wasm.kernels import Argument, render_template
from pyruntime_wasm.kernels._nest import Nest, Site
from pyruntime_wasm.kernels._share import SCALAR_WORK, best_cut
from pyruntime_wasm.kernels.row import accumulator, identity
from pyruntime_wasm.printer import SCALAR, convert, literal

_COMBINE = {"sum": "add", "prod": "mul"}


class CumulateKernel:
    """See `Kernel`."""

    def key(self, call: Cumulate) -> Hashable:
        """The code itself."""
        return self.render(call, "cumulate")

    def scratch(self, call: Cumulate) -> Dim:
        """None."""
        return 0

    def arguments(self, call: Cumulate) -> Sequence[Argument]:
        """Views with their strides, sizes, guards."""
        return _nest(call).parameters.arguments

    def render(self, call: Cumulate, name: str) -> str:
        """One function."""
        nest, inner = _nest(call), len(call.sizes) - 1
        dtype = accumulator(call.value.dtype)
        class_ = SCALAR.classes[dtype]
        site = Site(nest, SCALAR, inner, acc=lambda acc: convert(SCALAR, "running", dtype, acc.dtype))
        prologue = site.prologue([call.value, call.body], stored=True)

        def update() -> list[str]:
            lines, value = site.value(call.value)
            return [*lines, f"running = {class_.name}_{_COMBINE[call.combine]}(running, {value});"]

        def finish() -> list[str]:
            return site.finish(call.body)

        # printed in the order in which they run, since the second uses what the first has computed
        steps = (finish, update) if call.exclusive else (update, finish)
        return render_template(
            "cumulate",
            name=name,
            signature=nest.parameters.signature,
            outer=list(range(inner)),
            inner=inner,
            reverse=call.reverse,
            type=class_.type,
            identity=literal(identity(call.combine, dtype), dtype),
            prologue=prologue,
            body=[line for step in steps for line in step()],
        )


def _nest(call: Cumulate) -> Nest:
    nest = Nest(call, call.sizes, [call.value, call.body])
    outer = list(enumerate(call.sizes[:-1]))
    if outer:
        steps = cost(call.value) + cost(call.body) + len(nest.operands)
        nest.parameters.share(best_cut(outer, product(call.sizes) * (steps * SCALAR_WORK)))
    return nest


KERNEL = CumulateKernel()
