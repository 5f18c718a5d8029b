"""What packs of known models must keep to on WebGPU, as `pyruntime inspect` counts; nothing runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import pyruntime
from benchmarks.models.images import detector, mobilenetv2, resnet50
from benchmarks.models.integer import quantised
from benchmarks.models.minilm import encoder, tokens
from benchmarks.models.sequences import llama
from benchmarks.models.source import Source
from pyruntime.cli.inspection.gather import Inspection, Program, inspect
from pyruntime.pack.reader import Pack
from tests.passes.bert import Size

BYTES = 1.3  # moved, over the fused lower bound
ARENAS = 1.15  # over the most bytes that live at once,
TINY = 1.3  # where these are some tens of pieces of 256 bytes, of which each that lies badly is much
CODE = 80_000  # of a page, compressed
RUNTIME = 25_000  # of these for JavaScript: tests/browser/test_budgets.py


@dataclass(frozen=True)
class Known:
    """A model, the most dispatches that it may take, and sizes to look at."""

    build: Callable[[], Source]
    dispatches: int
    sizes: tuple[Mapping[str, int], ...] = field(default=({},))


def minilm() -> Source:
    """Its real sizes, but for the table of words, of which a run reads a few rows."""
    return encoder(Size(vocabulary=100), None, tokens(128))


MODELS = {
    "mobilenetv2": Known(mobilenetv2, 60),
    "resnet50": Known(resnet50, 60),
    "minilm": Known(
        minilm, 45, tuple({"batch": b, "length": n} for b, n in ((1, 128), (16, 128), (1, 16), (1, 1)))
    ),
    "llama": Known(llama, 91, ({"past": 1}, {"past": 16}, {"past": 160})),
}


@pytest.fixture(scope="module", params=list(MODELS))
def looked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Known, list[Inspection]]:
    """A model, and what `inspect` tells of its pack at each of its sizes."""
    known = MODELS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    with converted(known.build, folder) as pack:
        return known, [inspect(pack, sizes) for sizes in known.sizes]


def converted(build: Callable[[], Source], folder: Path, **options: Any) -> Pack:
    (folder / "model.onnx").write_bytes(build().proto.SerializeToString())
    pyruntime.convert(folder / "model.onnx", folder / "pack", targets=("webgpu",), **options)
    return Pack(folder / "pack")


def programs(looked: tuple[Known, list[Inspection]]) -> Iterator[Program]:
    for told in looked[1]:
        (program,) = told.programs
        yield program


def moves_what_it_must(program: Program) -> None:
    totals = program.plan.totals
    assert totals.bytes
    assert totals.fused
    assert totals.bytes <= BYTES * totals.fused


def keeps_to_its_memory(program: Program, most: float = ARENAS) -> None:
    memory = program.memory
    assert memory is not None
    assert 0 < sum(memory.arenas) / memory.peak <= most  # as the plan divides: it may be the same number


def test_most_read_no_arena_that_they_write(looked: tuple[Known, list[Inspection]]) -> None:
    for program in programs(looked):
        assert program.memory is not None
        assert not program.memory.beside


def test_dispatches(looked: tuple[Known, list[Inspection]]) -> None:
    for program in programs(looked):
        assert 0 < (program.plan.totals.dispatches or 0) <= looked[0].dispatches


def test_bytes_moved(looked: tuple[Known, list[Inspection]]) -> None:
    for program in programs(looked):
        moves_what_it_must(program)


def test_what_computes_much_keeps_a_gpu_busy(looked: tuple[Known, list[Inspection]]) -> None:
    """More than a hundredth of the operations takes 64 workgroups."""
    for program in programs(looked):
        assert program.plan.totals.exact
        assert program.plan.totals.small == ()


def test_what_computes_much_in_integers_keeps_a_gpu_busy(tmp_path: Path) -> None:
    """Words of four 8-bit integers leave slices a quarter of k. Nothing stores levels for them."""
    with converted(mobilenetv2, tmp_path, quantize="int8") as pack:
        (program,) = inspect(pack, {}).programs
    assert program.plan.totals.exact
    assert program.plan.totals.small == ()
    assert 0 < (program.plan.totals.dispatches or 0) <= 72
    moves_what_it_must(program)


@pytest.mark.parametrize(
    ("dynamic", "dispatches", "times"),  # products of one value read it apart
    [(False, 58, (1.21, 1.29, 1.07, 1.01)), (True, 118, (1.25, 1.34, 1.1, 1.01))],
)
def test_ranges_that_data_decide(
    dynamic: bool, dispatches: int, times: tuple[float, ...], tmp_path: Path
) -> None:
    """Those that make values tell extremes of them, so that nothing reads all of these for their range."""
    source = minilm()
    built = replace(source, proto=quantised(source)) if dynamic else source
    with converted(lambda: built, tmp_path, quantize=None if dynamic else "int8") as pack:
        for sizes, most in zip(MODELS["minilm"].sizes, times, strict=True):
            (program,) = inspect(pack, sizes).programs
            totals = program.plan.totals
            assert 0 < (totals.dispatches or 0) <= dispatches
            assert totals.bytes is not None
            assert totals.fused is not None
            assert totals.bytes <= most * totals.fused
            assert totals.small == ()


@pytest.mark.parametrize(
    ("build", "sizes", "options"),
    [
        (llama, {"past": 160}, {"quantize": "int4"}),
        (minilm, {"batch": 1, "length": 16}, {"quantize": "int8-weights"}),
        (minilm, {"batch": 1, "length": 16}, {"weights": "f16"}),
    ],
)
def test_weights_of_fewer_bits(
    build: Callable[[], Source], sizes: Mapping[str, int], options: Mapping[str, Any], tmp_path: Path
) -> None:
    with converted(build, tmp_path, **options) as pack:
        (program,) = inspect(pack, sizes).programs
    assert program.plan.totals.small == ()
    moves_what_it_must(program)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "sizes", "tails"),
    [
        ("dtln_1.onnx", {}, "recurrence"),  # of one row
        ("stories260k.onnx", {}, "matmul"),  # of 64 columns
        ("ultraface_rfb320.onnx", {}, ""),
        ("silero_vad_half.onnx", {"batch": 64, "sequence": 512}, ""),
    ],
)
def test_trained_models(
    shared_models: Path, name: str, sizes: Mapping[str, int], tails: str, tmp_path: Path
) -> None:
    pyruntime.convert(shared_models / name, tmp_path / "pack", targets=("webgpu",))
    with Pack(tmp_path / "pack") as pack:
        (program,) = inspect(pack, sizes).programs
    moves_what_it_must(program)
    totals = program.plan.totals
    assert totals.small == ()
    assert {step.split()[0] for step in totals.tails} == set(filter(None, [tails]))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "each"),
    [
        ("magika_v1.onnx", [{"unk__122": 1}]),
        ("stories260k.onnx", [{"batch": b, "seq": n} for b, n in ((1, 128), (1, 512), (8, 128))]),
        ("stories260k_hf", [{"batch": b, "sequence": n} for b, n in ((1, 128), (1, 512), (8, 128))]),
    ],
)
def test_bytes_of_many_rows(
    shared_models: Path, name: str, each: Sequence[Mapping[str, int]], tmp_path: Path
) -> None:
    """Weights are small beside what products pass on to each other."""
    pyruntime.convert(shared_models / name, tmp_path / "pack", targets=("webgpu",))
    with Pack(tmp_path / "pack") as pack:
        for sizes in each:
            (program,) = inspect(pack, sizes).programs
            moves_what_it_must(program)


def test_memory(looked: tuple[Known, list[Inspection]]) -> None:
    for program in programs(looked):
        keeps_to_its_memory(program)


PASTS = [{"past": n} for n in (0, 1, 2, 16, 64, 100, 511)]


@pytest.mark.parametrize(
    ("build", "quantize", "each"),
    [(detector, None, [{}]), (mobilenetv2, "int8", [{}]), (llama, None, PASTS), (llama, "int8", PASTS)],
)
def test_memory_of_pyramids_and_caches(
    build: Callable[[], Source], quantize: str | None, each: Sequence[Mapping[str, int]], tmp_path: Path
) -> None:
    with converted(build, tmp_path, quantize=quantize) as pack:
        for sizes in each:
            (program,) = inspect(pack, sizes).programs
            keeps_to_its_memory(program)


@pytest.mark.shared
@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize(("name", "length"), [("stories260k.onnx", "seq"), ("stories260k_hf", "sequence")])
def test_memory_of_decoders(
    name: str, length: str, quantize: str | None, shared_models: Path, tmp_path: Path
) -> None:
    """Their last product is as large as all that lives in a layer."""
    pyruntime.convert(shared_models / name, tmp_path / "pack", targets=("webgpu",), quantize=quantize)
    with Pack(tmp_path / "pack") as pack:
        for batch, number in ((1, 1), (1, 2), (1, 16), (1, 64), (1, 100), (3, 17), (1, 512)):
            (program,) = inspect(pack, {"batch": batch, length: number}).programs
            keeps_to_its_memory(program, TINY if number < 16 else ARENAS)
            assert program.memory is not None
            assert 0 < len(program.memory.beside) < len(program.plan.steps) / 2


def test_code(looked: tuple[Known, list[Inspection]]) -> None:
    """Of the shaders a page loads those of one variant."""
    told = looked[1][0]
    sizes = {f.name: f.gzip for f in told.files if f.gzip is not None}
    shaders = [size for name, size in sizes.items() if name.endswith(".wgsl")]
    assert shaders
    assert RUNTIME + sizes["pack.json"] + max(shaders) <= CODE
