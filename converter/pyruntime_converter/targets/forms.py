"""How tensors lie on the GPU, in each variant of a pack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyruntime_shaders.storage import Form

from pyruntime.ir.dims import Dim, align
from pyruntime.ir.dtypes import DType
from pyruntime.ir.program import Carried
from pyruntime.ir.views import Tensor
from pyruntime.pack.targets import GPU_DTYPES, GPU_WORDS
from pyruntime_converter.targets.host import Sides

Forms = Mapping[Tensor, Form]  # of the tensors that are not words

WORD = 4
PACKED = (DType.F16, DType.I8, DType.U8)


def gpu_dtype(tensor: Tensor, forms: Forms) -> str:
    """The type that takes the place of a tensor's on the GPU, as packs name it."""
    if tensor in forms:
        return "float16" if tensor.dtype.is_float else tensor.dtype.value
    word = tensor.dtype in GPU_WORDS and not tensor.pairs
    return (GPU_WORDS if word else GPU_DTYPES)[tensor.dtype]


def gpu_bytes(tensor: Tensor, forms: Forms) -> Dim:
    """Bytes that a tensor takes on the GPU, in whole words."""
    if tensor not in forms:
        return tensor.elements * tensor.words * WORD
    return align(tensor.elements * DType(gpu_dtype(tensor, forms)).bytes, WORD)


def weight_forms(dtypes: Mapping[Tensor, DType], states: Iterable[Carried]) -> Forms:
    """Weights that stay float16 or 8-bit integers on the GPU: all such but those that states begin as."""
    initial = {s.initial for s in states}
    return {t: "packed" for t, dtype in dtypes.items() if dtype in PACKED and t not in initial}


def half_forms(sides: Sequence[Sides], weights: Forms) -> Forms:
    """Forms of the variant that requires shader-f16; none where weights alone would be float16.

    States are words, since variants share their buffers, and so is what crosses to the host.
    """
    halves = {t for s in sides for t in s.gpu if t.dtype is DType.F16 and t.kind in ("input", "temporary")}
    halves -= {t for s in sides for run in s.runs.values() for t in (*run.before, *run.after)}
    if not halves:
        return {}
    half: Forms = {t: "halves" for t in (*weights, *halves) if t.dtype.is_float}
    return {**weights, **half}
