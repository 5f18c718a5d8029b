"""all-MiniLM-L6-v2 with its real weights as ONNX, in the form that PyTorch's exporter writes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from pyruntime_converter.frontends.huggingface.checkpoint import Checkpoint

from benchmarks.models.source import Feeds, Source, finish
from tests.passes.bert import Form, Size, Weights, written

ROOT = Path(__file__).parents[2]
CLS, SEP = 101, 102  # of BERT's vocabulary
WORDS = (1996, 30522)  # tokens from here on are words and parts of them


def tokens(length: int) -> Feeds:
    """One sentence of random words, without padding."""
    ids = np.random.default_rng(length).integers(*WORDS, (1, length))
    ids[0, 0], ids[0, -1] = CLS, SEP
    return {
        "input_ids": ids,
        "attention_mask": np.ones((1, length), np.int64),
        "token_type_ids": np.zeros((1, length), np.int64),
    }


def encoder(size: Size, given: Weights | None, fed: Feeds, form: Form = "dynamo") -> Source:
    """An encoder with symbolic batch and length."""
    net, outputs, opset = written(size, form, given)
    return Source(finish(net, outputs, opset), fed, "dynamic")


def minilm(folder: Path, length: int) -> Source:
    """The real model on a sentence of `length` tokens; `folder` is as Hugging Face has it."""
    made = encoder(Size(), Checkpoint(folder).array, tokens(length))
    return Source(made.proto, made.feeds, made.quantisation, folder=os.path.relpath(folder, ROOT))
