"""The Wasm part of a pack: addresses, the modules of each variant, and their steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pyruntime_wasm.kernels import kernel_for
from pyruntime_wasm.module import build_module, thread_bytes

from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Placement, Program
from pyruntime.ir.rpn import to_rpn
from pyruntime.ir.views import Tensor
from pyruntime.pack.targets import Wasm, WasmEntry, WasmVariant, WasmWeight
from pyruntime.pack.writer import PackWriter
from pyruntime_converter.memory import plan_single
from pyruntime_converter.targets.addresses import lay_out, pages

if TYPE_CHECKING:
    from pyruntime.ir.dims import Dim
    from pyruntime_converter.build import Stored
    from pyruntime_converter.state import PackStates

# variant -> features that a host needs for it; the best first
VARIANTS: dict[str, tuple[str, ...]] = {
    "relaxed-threads": ("relaxed-simd", "threads"),
    "simd-threads": ("threads",),
    "relaxed": ("relaxed-simd",),
    "simd": (),
}


def build(
    programs: Sequence[Program],
    stored: Sequence[Stored],
    states: PackStates,
    pack: PackWriter,
    compiler: str | None,
    tell: Callable[[str, int, int, str], None],
) -> Wasm:
    """Compile the entries, write its modules to pack, and describe them. Raises CompilerError."""
    kept = [s.tensor for s in states.states]
    addresses, end, planned = placed(programs, [s.tensor for s in stored], states)
    tell("compile", 0, 1, f"{sum(len(p.calls) for p in programs)} kernel calls")
    extra = [thread_bytes(p) for p in programs]
    # programs too small to be shared have no use for the variants with threads
    names = [v for v, requires in VARIANTS.items() if "threads" not in requires or any(extra)]
    modules = build_module(planned, variants=names, compiler=compiler)
    variants = []
    for variant in names:
        written = pack.add_file(f"model.{variant}.wasm", modules[variant])
        variants.append(WasmVariant(VARIANTS[variant], written.file, written.bytes, written.sha256))
    return Wasm(
        abi=1,
        pointer_bits=32,
        initial_pages=pages(end),
        weights=[WasmWeight(s.index, addresses[s.tensor], s.tensor.dtype) for s in stored],
        entries=[
            WasmEntry(to_rpn(m.arena_bytes[0]), [s.name for s in p.steps], to_rpn(more), p.commit)
            for (p, m), more in zip(planned, extra, strict=True)
        ],
        variants=variants,
        state=tuple(addresses[t] for t in kept),
    )


def placed(
    programs: Sequence[Program], weights: Sequence[Tensor], states: PackStates
) -> tuple[dict[Tensor, int], int, list[tuple[Program, Placement]]]:
    """Addresses of the weights and states, the end of these, and where each program's tensors lie."""
    kept = [s.tensor for s in states.states]
    addresses, end = lay_out([*weights, *kept])
    fixed = {**addresses, **{t: addresses[kept[n]] for t, n in states.number.items()}}
    return addresses, end, [(p, plan_single(p, base=end, fixed=fixed, scratch=_scratch)) for p in programs]


def _scratch(call: KernelCall) -> Dim:
    return kernel_for(call).scratch(call)
