"""Text of numbers: a row of bytes after the other, by exact arithmetic in digits.h."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pyruntime.ir.dims import Dim
from pyruntime.ir.numerals import Digits
from pyruntime_wasm.kernels import Argument, render_template
from pyruntime_wasm.kernels._operands import Operand, Parameters, require_plain
from pyruntime_wasm.kernels._share import SCALAR_WORK, best_cut
from pyruntime_wasm.printer import SCALAR

# steps that a number takes, about
_STEPS = 512


class DigitsKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: Digits) -> Hashable:
        """The code itself."""
        return self.render(call, "digits")

    def scratch(self, call: Digits) -> Dim:
        """None: limbs lie on the stack."""
        return 0

    def arguments(self, call: Digits) -> Sequence[Argument]:
        """Output, numbers, how many."""
        return _signature(call)[0].arguments

    def render(self, call: Digits, name: str) -> str:
        """The C function."""
        parameters, x = _signature(call)
        return render_template(
            "digits",
            name=name,
            signature=parameters.signature,
            x=x.at("row"),
            type=SCALAR.classes[x.dtype].name,
            format=f"{call.precision}, {call.least}",
            width=call.width,
        )


def _signature(call: Digits) -> tuple[Parameters, Operand]:
    require_plain(call, call.x)
    parameters = Parameters()
    parameters.view("out", call.output, written=True)
    x = parameters.view("x", call.x)
    parameters.dim("rows", call.rows)
    parameters.share(best_cut([(0, call.rows)], call.rows * (_STEPS * SCALAR_WORK)))
    return parameters, x


KERNEL = DigitsKernel()
