"""Recurrent layers of doubles: plain loops over a row at a time, and weights where they lie."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Phase, Recurrence
from pyruntime.ir.scalar import Acc, Index, Load, Scalar, Size
from pyruntime_wasm.kernels import Argument, render_template
from pyruntime_wasm.kernels._operands import load
from pyruntime_wasm.kernels._share import SCALAR_WORK
from pyruntime_wasm.kernels.recurrence import Signature
from pyruntime_wasm.printer import SCALAR, Printer


class DoubleRecurrenceKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: Recurrence) -> Hashable:
        """The code itself."""
        return self.render(call, "recurrence")

    def render(self, call: Recurrence, name: str) -> str:
        """The C function."""
        s = _signature(call)
        return render_template(
            "recurrence_double",
            **s.common(),
            name=name,
            phases=[self._phase(s, number) for number in range(len(call.phases))],
            initial=[
                (slot, s.operands[i].at("0", "d", "b", "u"))
                for slot, i in enumerate(call.initial)
                if i is not None
            ],
            out=s.out.at("t", "d", "b") if call.keeps_steps else "",
        )

    def _phase(self, s: Signature, number: int) -> dict[str, object]:
        phase: Phase = s.call.phases[number]
        assert not phase.panels, s.call.name

        def leaf(node: Scalar) -> str:
            match node:
                case Acc():
                    slot = node.index < s.call.slots
                    first = node.index if slot else node.index - s.call.slots
                    return f"{'slots' if slot else 'sums'}[{first} * units + u]"
                case Load():
                    operand = s.operands[node.operand]
                    return load(operand.dtype, operand.at("t", "d", "b", "u"))
                case Index():
                    return "tdbu"[node.axis]
                case Size():
                    return f"size{node.slot}"
                case _:
                    raise AssertionError(f"{type(node).__name__} is no leaf")

        printer = Printer(SCALAR, leaf)
        values = [(slot, printer.value(tree)) for slot, tree in phase.updates]
        return {
            "gates": phase.sums,
            "source": phase.source,
            "weight": s.weights[number].at("d", "k", "g", "u"),
            "body": printer.statements + [f"slots[{slot} * units + u] = {v};" for slot, v in values],
        }

    def scratch(self, call: Recurrence) -> Dim:
        """The slots and the sums of a row."""
        return (call.slots + max(p.sums for p in call.phases)) * call.units * DType.F64.bytes

    def arguments(self, call: Recurrence) -> Sequence[Argument]:
        """As of the kernel in float32."""
        return _signature(call).parameters.arguments


def _signature(call: Recurrence) -> Signature:
    return Signature(call, cut_rows=1, cost=SCALAR_WORK)


KERNEL = DoubleRecurrenceKernel()
