"""Attention: blocks of queries and keys whose products are tiles of include/gemm.h, float32."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim, align, ceildiv, minimum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Attention
from pyruntime_wasm.kernels import Argument, Share, render_template
from pyruntime_wasm.kernels._epilogue import Epilogue
from pyruntime_wasm.kernels._operands import Operand, Parameters, require_plain
from pyruntime_wasm.kernels._share import best_cut

ROWS = 48  # queries of a block: whole tiles, and as large as what stays in L1 with as many keys
KEYS = 128
_SLACK = 64  # elements that vector copies may write past what they fill


@dataclass
class _Signature:
    """A call's parameters, with the names and operands that they declare."""

    parameters: Parameters
    batch: list[str]
    q: Operand
    k: Operand
    v: Operand
    out: Operand
    causal: str
    epilogue: Epilogue


def _signature(call: Attention) -> _Signature:
    assert call.split is None, f"{call.name}: threads share keys otherwise"
    for view in (call.q, call.k, call.v, call.output):
        require_plain(call, view)
        if view.tensor.dtype is not DType.F32:
            raise UnsupportedError("Attention", call.name, f"of {view.tensor.dtype!r}")
    parameters = Parameters()
    batch = [parameters.dim(f"batch{i}", size) for i, size in enumerate(call.batch)]
    for name, size in (
        ("m", call.m),
        ("n", call.n),
        ("width", call.width),
        ("value_width", call.value_width),
    ):
        parameters.dim(name, size)
    out = parameters.view("out", call.output, written=True)
    q, k, v = (parameters.view(name, getattr(call, name)) for name in "qkv")
    causal = "" if call.causal is None else parameters.dim("causal", call.causal)
    rank = len(batch) + 2
    epilogue = Epilogue(call, call.score, parameters, rank, rank - 2, DType.F32, stores=False)
    parameters.scratch()
    parameters.share(_cut(call))
    return _Signature(parameters, batch, q, k, v, out, causal, epilogue)


def _cut(call: Attention) -> Share:
    """Along a batch axis whose keys and values are its own, or else between blocks of queries."""
    axes = list(enumerate(call.batch))[: len(call.batch) - _shared(call)]
    work = product((*call.batch, call.m, call.n, call.width + call.value_width))
    return best_cut([*axes, (len(call.batch), ceildiv(call.m, ROWS))], work)


def _shared(call: Attention) -> int:
    """How many of the last batch axes, those of grouped queries, have the same keys and values."""
    count = 0
    for k, v in zip(reversed(call.k.strides[:-2]), reversed(call.v.strides[:-2]), strict=True):
        if k != 0 or v != 0:
            break
        count += 1
    return count


class AttentionKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: Attention) -> Hashable:
        """The code itself."""
        return self.render(call, "attention")

    def render(self, call: Attention, name: str) -> str:
        """The C function and its helpers."""
        s = _signature(call)
        indices = [f"i{axis}" for axis in range(len(s.batch))]
        return render_template(
            "attention",
            name=name,
            signature=s.parameters.signature,
            epilogue=s.epilogue,
            batch=s.batch,
            shared=_shared(call),
            rows=ROWS,
            keys=KEYS,
            q=s.q.at(*indices, "m0"),
            k=s.k.at(*indices),
            v=s.v.at(*indices),
            out=s.out.at(*indices, "m0"),
            q_m=s.q.strides[-2],
            q_c=s.q.strides[-1],
            k_n=s.k.strides[-2],
            k_c=s.k.strides[-1],
            v_n=s.v.strides[-2],
            v_e=s.v.strides[-1],
            out_m=s.out.strides[-2],
            out_e=s.out.strides[-1],
            causal=s.causal,
            score_arguments=s.epilogue.block_arguments(*indices, "m0", "n0"),
            safe=call.safe,
        )

    def scratch(self, call: Attention) -> Dim:
        """A block's scores and sums, and the keys, values and, where they are not in rows, queries."""
        wide = align(call.value_width, 8)
        elements: Dim = ROWS * KEYS + ROWS * wide + 3 * ROWS + 2 * _SLACK
        elements = elements + align(call.n, 8) * call.width + call.n * wide
        if call.q.strides[-1] != 1:
            elements = elements + minimum(call.m, ROWS) * call.width + _SLACK
        return elements * DType.F32.bytes

    def arguments(self, call: Attention) -> Sequence[Argument]:
        """Sizes, output, queries, keys, values, operands of the score, scratch."""
        return _signature(call).parameters.arguments


KERNEL = AttentionKernel()
