"""Non-maximum suppression: candidates in order, each compared with the selected ones, four at once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pyruntime.ir.dims import Dim, align
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Suppression
from pyruntime_wasm.kernels import Argument, render_template
from pyruntime_wasm.kernels._operands import Operand, Parameters, require_plain
from pyruntime_wasm.kernels._share import SCALAR_WORK, best_cut

# comparisons that a candidate takes, about
_COMPARED = 16


class SuppressionKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: Suppression) -> Hashable:
        """The code itself."""
        return self.render(call, "suppression")

    def scratch(self, call: Suppression) -> Dim:
        """Selected boxes in rows; keys and numbers of candidates, and the order of these."""
        return (5 * _room(call) + 3 * call.count) * DType.F32.bytes

    def arguments(self, call: Suppression) -> Sequence[Argument]:
        """Output, boxes, scores, thresholds, sizes."""
        return _signature(call)[0].arguments

    def render(self, call: Suppression, name: str) -> str:
        """The C function and its helpers."""
        parameters, boxes, scores, thresholds = _signature(call)
        box, side = boxes.strides[1:]
        return render_template(
            "suppression",
            name=name,
            signature=parameters.signature,
            centred=call.centred,
            bounded=call.bounded,
            boxes=boxes.at("b"),
            box=box,
            side=side,
            scores=scores.at("b", "c"),
            score=scores.strides[2],
            overlap=thresholds.at("0"),
            lowest=f"*({thresholds.at('1')}), " if call.bounded else "",
            room="(most + 3) / 4 * 4",
        )


def _room(call: Suppression) -> Dim:
    """Selected boxes in whole vectors."""
    return align(call.most, 4)


def _signature(call: Suppression) -> tuple[Parameters, Operand, Operand, Operand]:
    for view in call.reads():
        require_plain(call, view)
    parameters = Parameters()
    parameters.view("out", call.output, written=True)
    boxes = parameters.view("boxes", call.boxes)
    scores = parameters.view("scores", call.scores)
    thresholds = parameters.view("thresholds", call.thresholds)
    for name in ("batch", "classes", "count", "most"):
        parameters.dim(name, getattr(call, name))
    parameters.scratch()
    work = call.batch * call.classes * call.count * (_COMPARED * SCALAR_WORK)
    parameters.share(best_cut([(0, call.batch), (1, call.classes)], work))
    return parameters, boxes, scores, thresholds


KERNEL = SuppressionKernel()
