"""Numbers that are written as text: a thread for each row of bytes, in exact arithmetic."""

from __future__ import annotations

from dataclasses import asdict

from pyruntime.ir.dims import ceildiv
from pyruntime.ir.numerals import Numerals
from pyruntime.ops.numerals import FORMATS, limits
from pyruntime_shaders.module import Kernel, Module, fold

GROUP = 64


def prepare(call: Numerals) -> list[Kernel]:
    """The dispatch of a call. Raises UnsupportedError for what WGSL cannot compute."""
    module = Module(call, ("row", "i"), (call.rows, call.words))
    buffer, form = module.buffer(call.x.tensor), FORMATS.get(call.to)
    most = 0 if form else limits(call.to)[1]
    return [
        module.finish(
            "numerals",
            (*fold(ceildiv(call.rows, GROUP)), 1),
            rows=module.word("rows", call.rows, "u32"),
            width=module.word("width", call.width),
            buffer=buffer,
            place=module.position("x", call.x, ("row", "i")),
            size=call.words,
            form=tuple(sorted(asdict(form).items())) if form else (),
            limbs=form.limbs if form else 6,
            odd=call.odd,
            most=(most & 0xFFFFFFFF, most >> 32),
            is_signed=not call.to.is_unsigned,
            group=GROUP,
        )
    ]
