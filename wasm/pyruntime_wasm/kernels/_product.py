"""What matrix products of floats and of short integers have in common: their parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import MatMul
from pyruntime_wasm.kernels._epilogue import Epilogue
from pyruntime_wasm.kernels._operands import Operand, Parameters, require_plain


@dataclass
class Signature:
    """A call's parameters, with the names and operands that they declare."""

    parameters: Parameters
    batch: list[str]
    a: Operand
    b: Operand
    epilogue: Epilogue


def declare(call: MatMul, sums: DType) -> Signature:
    """Sizes, factors, output, operands and scratch; the share is the caller's."""
    for view in (call.a, call.b):
        require_plain(call, view)
    parameters = Parameters()
    batch = [parameters.dim(f"batch{i}", size) for i, size in enumerate(call.batch)]
    for name, size in {"m": call.m, "n": call.n, "k": call.k}.items():
        parameters.dim(name, size)
    a = parameters.view("a", call.a)
    b = parameters.view("b", replace(call.b, strides=()) if call.panels else call.b)
    rank = len(batch) + 2
    epilogue = Epilogue(call, call.body, parameters, rank, rank - 2, sums)
    parameters.scratch()
    return Signature(parameters, batch, a, b, epilogue)
