"""What a program does with memory, call by call, for the report in its pack (`pyruntime.pack.account`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pyruntime.ir.cost import is_product, kind, operations, touched, traffic
from pyruntime.ir.dims import Dim, maximum
from pyruntime.ir.kernel import Attention, Conv, KernelCall, MatMul
from pyruntime.ir.program import Boundary, Program
from pyruntime.ir.rpn import to_rpn
from pyruntime.ir.symbols import symbols_of
from pyruntime.ir.views import Tensor
from pyruntime.pack.account import Account, Flow, Memory
from pyruntime.pack.schema import Cost


def account(program: Program, weights: Mapping[Tensor, int]) -> Account:
    """The account of a program; `weights` are their indices in the pack."""
    states = [c.tensor for c in program.states]
    found: dict[Tensor, int] = {t: i for i, t in enumerate([*program.inputs, *states])}
    for call in program.calls:
        for tensor in call.tensors():
            if tensor not in weights:
                found.setdefault(tensor, len(found))
    for tensor in program.outputs:
        found.setdefault(tensor, len(found))
    flows = {}
    for call in program.calls:
        *_, written = call.tensors()
        read = dict.fromkeys(v.tensor for v in call.reads())
        reads = tuple(-1 - weights[t] if t in weights else found[t] for t in read)
        flows[call.name] = Flow(reads, found[written], program.boundaries.get(call.name, Boundary.ALONE))
    least, fused = (to_rpn(b) if symbols_of(b) <= set(program.symbols) else None for b in bounds(program))
    return Account(
        [Memory(t.dtype, to_rpn(program.bytes_for(t.elements))) for t in found],
        len(program.inputs),
        [found[t] for t in program.outputs],
        [found[t] for t in states],
        flows,
        least,
        fused,
        costs(program),
    )


def costs(program: Program) -> tuple[Cost, ...]:
    """What each step takes, but for those whose sizes hang on what the program computes."""
    counted = ((c, operations(c), traffic(c)) for c in program.calls)
    return tuple(
        Cost(call.name, kind(call), to_rpn(work), to_rpn(moved))
        for call, work, moved in counted
        if (symbols_of(work) | symbols_of(moved)) <= set(program.symbols)
    )


def bounds(program: Program) -> tuple[Dim, Dim]:
    """`Account.least` and `Account.fused` of a program.

    Of an input, weight or state as many elements count as the call reads that reads most of them.
    """
    read: dict[Tensor, Dim] = {}
    written: dict[Tensor, Dim] = {t: t.elements for t in program.outputs}
    taken: set[Tensor] = set()  # by products
    products: Dim = 0
    for call in program.calls:
        reads, writes = touched(call)
        for tensor, elements in reads.items():
            if tensor.kind != "temporary":
                read[tensor] = maximum(read.get(tensor, 0), elements)
        tensor = call.output.tensor
        if tensor.kind == "state":
            written[tensor] = maximum(written.get(tensor, 0), writes)
        if is_product(call.template):
            taken |= {*reads, tensor}
            products = products + traffic(_alone(call))
    ends = [(t, n * t.dtype.bytes) for t, n in (*read.items(), *written.items())]
    least, rest = (sum((b for t, b in ends if t not in without), start=0) for without in (set(), taken))
    return least, products + rest


def _alone(call: KernelCall) -> KernelCall:
    """A call without what it tells of its values, of which others make use."""
    return replace(call, extremes=None) if isinstance(call, (MatMul, Conv, Attention)) else call
