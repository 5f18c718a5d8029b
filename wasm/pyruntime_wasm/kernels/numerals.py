"""Numbers that are written as text: a row of bytes after the other, by exact arithmetic in numerals.h."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import astuple

from pyruntime.ir.dims import Dim
from pyruntime.ir.numerals import Numerals
from pyruntime.ops.numerals import FORMATS, limits
from pyruntime_wasm.kernels import Argument, render_template
from pyruntime_wasm.kernels._operands import Operand, Parameters, require_plain
from pyruntime_wasm.kernels._share import SCALAR_WORK, best_cut

# steps that a number takes, about
_STEPS = 64


class NumeralsKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: Numerals) -> Hashable:
        """The code itself."""
        return self.render(call, "numerals")

    def scratch(self, call: Numerals) -> Dim:
        """None: limbs lie on the stack."""
        return 0

    def arguments(self, call: Numerals) -> Sequence[Argument]:
        """Output, bytes, sizes."""
        return _signature(call)[0].arguments

    def render(self, call: Numerals, name: str) -> str:
        """The C function."""
        parameters, x = _signature(call)
        form = FORMATS.get(call.to)
        return render_template(
            "numerals",
            name=name,
            signature=parameters.signature,
            x=x.at("row"),
            stride=x.strides[1],
            words=call.words,
            format=", ".join(map(str, (*astuple(form), int(call.odd)))) if form else "",
            limbs=form.limbs if form else 0,
            most=0 if form else limits(call.to)[1],
            is_signed=int(not call.to.is_unsigned),
        )


def _signature(call: Numerals) -> tuple[Parameters, Operand]:
    require_plain(call, call.x)
    parameters = Parameters()
    parameters.view("out", call.output, written=True)
    x = parameters.view("x", call.x)
    for name in ("rows", "width"):
        parameters.dim(name, getattr(call, name))
    parameters.share(best_cut([(0, call.rows)], call.rows * (_STEPS * SCALAR_WORK)))
    return parameters, x


KERNEL = NumeralsKernel()
