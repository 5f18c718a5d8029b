"""Every benchmark by its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.models import images, sequences
from benchmarks.models.minilm import minilm
from benchmarks.models.source import Source
from demo_site.search.model import fetch

MATMULS = (64, 127, 128, 256, 333, 511, 512, 1023, 1024, 2048)
FEW_ROWS = (1, 8, 64)  # with weights 1024x1024
SENTENCES = (16, 128, 256)

Build = Callable[[], Source]


def _real_minilm(length: int) -> Source:
    return minilm(fetch(), length)


BENCHMARKS: dict[str, Build] = {
    **{f"matmul-{n}": partial(sequences.matmul, n, n) for n in MATMULS},
    **{f"matmul-{rows}x1024": partial(sequences.matmul, rows, 1024) for rows in FEW_ROWS},
    "mobilenetv2": images.mobilenetv2,
    "resnet50": images.resnet50,
    "detector": images.detector,
    "lstm": sequences.lstm,
    "llama-15m": sequences.llama,
    **{f"minilm-{n}": partial(_real_minilm, n) for n in SENTENCES},
}
