"""Products: MatMul, Gemm, Einsum, recurrent layers, and what quantised models are made of."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from tests.fuzz.known import Known, UnfitError
from tests.fuzz.maker import Maker, Step

ACTIVATIONS = ("Tanh", "Sigmoid", "Relu", "Softsign", "HardSigmoid")
WEIGHTS = {"matmul": 4.0, "gemm": 2.0, "recurrent": 1.2, "quantised": 1.5}


def matmul(make: Maker) -> None:
    """Batches are broadcast; vectors and matrices of one row among them."""
    x = make.one(rank=(1, 4))
    fits = [v for v in make.values if v.dtype == x.dtype and v.rank > 1 and v.dims[-2] == x.dims[-1]]
    if fits and make.chance(0.4):
        y = make.pick.choice(fits)
    elif not make.nameable(x.dims[-1]):
        raise UnfitError
    elif x.rank == 1 or make.chance(0.1):
        y = make.fresh([x.dims[-1]])
    else:
        ahead = [d if make.chance(0.5) and make.nameable(d) else (1,) * make.runs for d in x.dims[:-2]]
        y = make.fresh([*(ahead if make.chance(0.4) else []), x.dims[-1], make.dim()], weight=0.6)
    make.apply("MatMul", x, y)


def scores(make: Maker) -> None:
    """A value times its own transpose, as attention has it."""
    x = make.one(rank=(2, 4))
    perm = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
    make.apply("MatMul", x, make.apply("Transpose", x, perm=perm))


def gemm(make: Maker) -> None:
    """Either side transposed, scaled, and with a third input that is broadcast."""
    x = make.one(rank=(2, 2))
    turned, other = make.pick.randint(0, 1), make.pick.randint(0, 1)
    k, m = x.dims if turned else x.dims[::-1]
    n = make.dim()
    if not make.nameable(k):
        raise UnfitError
    y = make.fresh([n, k] if other else [k, n], weight=0.7)
    ones = (1,) * make.runs
    shape = make.choice(([n], [ones, n], [ones], [m, ones], [m, n], None))
    c = make.fresh(shape) if shape is not None and all(map(make.nameable, shape)) else None
    factors = {name: make.choice((0.5, 1.0, 2.0)) for name in ("alpha", "beta") if make.chance(0.4)}
    make.apply("Gemm", x, y, *([c] if c else []), transA=turned, transB=other, **factors)


def einsum(make: Maker) -> None:
    """Any equation of one to three operands: sums, diagonals, outer products, batches behind dots."""
    sizes = {letter: (make.pick.choice((1, 2, 3, 5)),) * make.runs for letter in "ijkl"}
    dots = make.chance(0.2)
    words: list[str] = []
    operands: list[Known] = []
    for _ in range(make.pick.choice((1, 2, 2, 2, 3))):
        word = "".join(make.pick.choices("ijkl", k=make.pick.randint(1, 3)))
        batch = make.dim()
        if len(words) == 0:
            found = make.one(rank=(1, 3), where=lambda v: v.static and 0 not in v.shape and max(v.shape) < 8)
            word = word[:1] * 0 + "ijk"[: found.rank]
            sizes.update(zip(word, found.dims, strict=True))
            operands.append(found)
        else:
            operands.append(make.fresh([*([batch] if dots else []), *(sizes[n] for n in word)]))
            word = "..." + word if dots else word
        words.append(word)
    letters = sorted(set("".join(words)) - {"."})
    out = "".join(make.pick.sample(letters, make.pick.randint(0, min(3, len(letters)))))
    dots = any("..." in w for w in words)
    equation = ",".join(words) + ("->" + "..." * dots + out if make.chance(0.85) else "")
    if any(0 in v.shape for v in operands):  # ONNX Runtime divides by that, and ends the process
        raise UnfitError
    make.apply("Einsum", *operands, equation=equation)


def recurrent(make: Maker) -> None:
    """LSTM, GRU and RNN in each direction, with and without lengths and states."""
    x = make.one(rank=(3, 3), where=lambda v: v.fixed(2) and 0 not in v.shape)
    op = make.choice(("LSTM", "GRU", "RNN"))
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    direction = make.choice(("forward", "reverse", "bidirectional"))
    both, units = 1 + (direction == "bidirectional"), make.pick.choice((1, 3, 4, 5, 8))
    weights = [
        make.constant(make.array(shape, make.dtype, "any") / 2, make.dtype)
        for shape in ((both, gates * units, x.shape[2]), (both, gates * units, units))
    ]
    bias = (
        make.constant(make.array((both, 2 * gates * units), make.dtype, "any")) if make.chance(0.6) else None
    )
    lengths = None
    if make.chance(0.4):
        lengths = make.below((x.dims[1],), "int32", 1, min(x.dims[0]) + 1)
    states = (make.chance(0.4), op == "LSTM" and make.chance(0.3)) if x.fixed(1) else (False, False)
    shape = (both, x.shape[1], units)
    initial = [make.fresh([(n,) * make.runs for n in shape]) if s else None for s in states]
    peep = (
        make.constant(make.array((both, 3 * units), make.dtype, "any"))
        if op == "LSTM" and make.chance(0.3)
        else None
    )
    given: dict[str, object] = {"hidden_size": units, "direction": direction}
    if op == "GRU":
        given["linear_before_reset"] = make.pick.randint(0, 1)
    if make.chance(0.2):
        given["clip"] = 0.7
    if make.chance(0.3):
        gates_of = {"LSTM": 3, "GRU": 2, "RNN": 1}[op]
        given["activations"] = [make.choice(ACTIVATIONS) for _ in range(gates_of * both)]
    make.emit(
        op,
        [x, *weights, bias, lengths, *initial, peep],
        make.pick.randint(1, 3 if op == "LSTM" else 2),
        **given,
    )


def quantised(make: Maker) -> None:
    """To short integers or floats and back, for all, each channel or blocks; what moves may be between."""
    x = make.one(("float32",), rank=(1, 4))
    make.defined(x)
    dtype = make.choice(
        ("uint8", "int8", "uint8", "int8", "uint16", "int16", "UINT4", "INT4", "FLOAT8E4M3FN")
    )
    kind = TensorProto.DataType.Value(dtype.upper())
    axis, block = make.axis(x), None
    shape: tuple[int, ...] = ()
    if make.chance(0.4) and x.fixed(axis) and x.shape[axis]:
        shape = (x.shape[axis],)
        if make.chance(0.3) and x.static and x.shape[axis] % 2 == 0:
            block, shape = 2, tuple(n // 2 if i == axis % x.rank else n for i, n in enumerate(x.shape))
    drawn = [make.choice((0.0625, 0.125, 0.11, 0.07)) for _ in range(int(np.prod(shape)))]
    scales = make.constant(np.reshape(drawn, shape), "float32")
    given = {"axis": axis, "block_size": block}
    low = 0 if dtype.lower().startswith("uint") else -5
    if "8E" in dtype or make.chance(0.2):
        zeros: list[Known] = []
    else:
        zeros = [make.short(np.reshape(make.pick.choices(range(low, 7), k=len(drawn)), shape), kind)]
    steps: list[Step] = [
        ("QuantizeLinear", [scales, *zeros], {**given, **({} if zeros else {"output_dtype": kind})}),
        ("DequantizeLinear", [scales, *zeros], given),
    ]
    if make.chance(0.3) and not shape:
        moved: Step = ("Transpose", [], {"perm": make.pick.sample(range(x.rank), x.rank)})
        steps.insert(1, make.choice((moved, ("Flatten", [], {}), ("Unsqueeze", [make.ints([0])], {}))))
    make.chain(x, *steps)


def quantised_product(make: Maker) -> None:
    """A product of quantised values, as quantised models have them, and its result quantised again."""
    x = make.one(("float32",), rank=(2, 3), where=lambda v: v.fixed(v.rank - 1) and 0 not in v.shape)
    dtype = make.choice(("uint8", "int8"))
    weights = make.constant(make.array((x.shape[-1], make.size() or 2), "int8"))
    scale, zero = make.constant(0.07, "float32"), make.constant(make.choice((0, 5)), dtype)
    left = _round_trip(make, x, scale, zero)
    right = make.apply("DequantizeLinear", weights, make.constant(0.03, "float32"), make.constant(0, "int8"))
    product = make.apply("MatMul", left, right)
    if make.chance(0.6):
        _round_trip(make, product, scale, zero)


def _round_trip(make: Maker, x: Known, scale: Known, zero: Known) -> Known:
    make.defined(x)
    return make.apply("DequantizeLinear", make.apply("QuantizeLinear", x, scale, zero), scale, zero)


def integer_product(make: Maker) -> None:
    """8-bit integers with zero points, in int32."""
    dtype = make.choice(("uint8", "int8"))
    x = make.one((dtype,), rank=(2, 3))
    if not make.nameable(x.dims[-1]):
        raise UnfitError
    y = make.fresh([x.dims[-1], make.dim()], make.choice(("uint8", "int8")), weight=0.7)
    zeros = [make.constant(make.pick.randint(0, 9), v.dtype) for v in (x, y)] if make.chance(0.5) else []
    make.apply("MatMulInteger", x, y, *zeros)


def dynamic(make: Maker) -> None:
    """Quantised by the values' own range."""
    x = make.one(("float32",), rank=(1, 3), where=lambda v: 0 not in v.shape)
    make.defined(x)
    q, scale, zero = make.emit("DynamicQuantizeLinear", [x], 3)
    make.apply("DequantizeLinear", q, scale, zero)


def small_sums(make: Maker) -> None:
    """A product whose inner size is 1 or odd."""
    k = make.choice((1, 3, 7, 33, 65))
    x = make.fresh([make.dim(), (k,) * make.runs], weight=0)
    y = make.constant(make.array((k, make.choice((1, 3, 8, 9, 17))), make.dtype))
    product = make.apply("MatMul", x, y)
    if make.chance(0.5):
        make.apply("Add", product, make.constant(make.array((np.shape(product.arrays[0])[-1],), make.dtype)))
