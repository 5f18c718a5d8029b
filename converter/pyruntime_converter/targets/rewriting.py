"""What a program becomes for WebGPU: fewer and other calls, where a GPU computes again what others store."""

from __future__ import annotations

from pyruntime.ir.program import Program
from pyruntime_converter.targets.extremes import tell_extremes
from pyruntime_converter.targets.inlining import inline_masks
from pyruntime_converter.targets.operands import compute_operands
from pyruntime_converter.targets.prologues import quantize_on_load
from pyruntime_converter.targets.splitting import split_keys
from pyruntime_converter.targets.statistics import combine_rows


def rewritten(program: Program) -> Program:
    """A lowered program as WebGPU has it; `program` stays as it is, and the result shares its tensors."""
    combined = tell_extremes(combine_rows(quantize_on_load(inline_masks(program))))
    return split_keys(compute_operands(combined))
