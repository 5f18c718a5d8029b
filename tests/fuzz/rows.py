"""Operators told in rows: what each input's axes are, and what attributes may be.

An input's axes are words of letters, numbers, products and sums: `Arg("b h*d 2")`. A letter is one size
throughout a row: a symbol, a number, or one of those that the row lists. The first input of all may be a
value that is there already.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.fuzz.known import Dim, Known, UnfitError
from tests.fuzz.maker import ELEMENTS, Maker

Sizes = dict[str, Dim]
MOST = 6  # sizes of letters: with several the product is large


@dataclass(frozen=True)
class Arg:
    """One input.

    Attributes:
        dims: its axes; in brackets what a constant of int64 holds.
        dtypes: one of them; none stands for that of most floats.
        below: integers lie below this size, from either end of the axis where `signed`.
        options: a constant that is one of these, of `dims`.
        kind: of elements, as `Maker.array` has it.
        share: how often it is there.
        weight: how often it is a constant.
    """

    dims: str = ""
    dtypes: Sequence[str] = ()
    below: str = ""
    signed: bool = False
    options: Sequence[Any] = ()
    kind: str = ""
    share: float = 1.0
    weight: float = 0.3


@dataclass(frozen=True)
class Row:
    """One way to use an operator.

    Attributes:
        op: its name.
        args: its inputs.
        attrs: for each attribute what it may be, None for left out; as text a size, in brackets some.
        sizes: what letters may be, where not anything.
        outputs: how many it has.
        weight: how likely it is.
        hidden: whether sizes of results hang on data, so that no other node takes them.
        defined: whether ONNX leaves open what becomes of NaN and infinities.
    """

    op: str
    args: Sequence[Arg]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    outputs: Sequence[int] = (1,)
    weight: float = 0.6
    hidden: bool = False
    defined: bool = False

    def __call__(self, make: Maker) -> None:
        """Add it to a model."""
        sizes: Sizes = {n: (make.choice(o),) * make.runs for n, o in self.sizes.items()}
        inputs = [
            self._input(make, arg, sizes, i == 0) if make.chance(arg.share) else None
            for i, arg in enumerate(self.args)
        ]
        if self.defined:
            for value in inputs:
                make.defined(value) if value and value.floating else None
        attrs = {name: _drawn(make, options, sizes) for name, options in self.attrs.items()}
        made = make.emit(self.op, inputs, make.choice(self.outputs), **attrs)
        if self.hidden:
            make.hide(*made)

    def _input(self, make: Maker, arg: Arg, sizes: Sizes, first: bool) -> Known:
        dtype = make.choice(arg.dtypes or ("",)) or make.dtype
        if arg.dims.startswith("["):
            return make.ints(_numbers(arg.dims, sizes, make))
        words = arg.dims.split()
        if first and not arg.below and not arg.options and make.chance(0.6):
            found = make.found((dtype,), (len(words), len(words)), lambda v: _binds(words, v, sizes))
            if found:
                sizes |= _bound(words, found)
                return found
        dims = [_size(word, sizes, make) for word in words]
        if arg.options:
            shape = [_static(d) for d in dims]
            return make.constant(np.full(shape, make.choice(arg.options)), dtype)
        if math.prod(max(d) for d in dims) > ELEMENTS:
            raise UnfitError
        if not arg.below:
            return make.fresh(dims, dtype, arg.kind, arg.weight)
        most = min(_size(arg.below, sizes, make))
        if most < 1:
            raise UnfitError
        return make.below(dims, dtype, -most if arg.signed else 0, most)


def _size(word: str, sizes: Sizes, make: Maker) -> Dim:
    """What a word comes to; letters that are new become sizes."""
    if "+" in word:
        return tuple(map(sum, zip(*(_size(w, sizes, make) for w in word.split("+")), strict=True)))
    if "*" in word:
        return tuple(map(math.prod, zip(*(_size(w, sizes, make) for w in word.split("*")), strict=True)))
    if word.isdigit():
        return (int(word),) * make.runs
    return sizes.setdefault(word, make.dim(MOST))


def _static(dim: Dim) -> int:
    if len(set(dim)) > 1:
        raise UnfitError
    return dim[0]


def _numbers(text: str, sizes: Sizes, make: Maker) -> list[int]:
    return [_static(_size(word, sizes, make)) for word in text.strip("[]").split()]


def _drawn(make: Maker, options: Any, sizes: Sizes) -> Any:
    """One of several, a size, or a list of sizes."""
    if not isinstance(options, str):
        return make.choice(options)
    return _numbers(options, sizes, make) if options.startswith("[") else _static(_size(options, sizes, make))


def _binds(words: Sequence[str], value: Known, sizes: Sizes) -> bool:
    """Whether a value may be an input whose axes are letters."""
    bound = {**sizes}
    for word, dim in zip(words, value.dims, strict=True):
        known = (int(word),) * len(dim) if word.isdigit() else bound.setdefault(word, dim)
        if known != dim or not (word.isdigit() or word.isalpha()):
            return False
    return 0 not in np.ravel(value.dims)


def _bound(words: Sequence[str], value: Known) -> Sizes:
    return {w: d for w, d in zip(words, value.dims, strict=True) if w.isalpha()}
