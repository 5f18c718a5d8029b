"""Sentences to vectors: tokens by the page's own tokenizer, vectors by the pack, natively and in batches."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pyruntime
from demo_site.demo import DemoError

Vectors = NDArray[np.float32]

BATCH = 16
OUTPUT = "sentence_embedding"
ENCODE = """
import { readFileSync } from "node:fs";
const [bundle, vocabulary] = process.argv.slice(1);
const { Tokenizer } = await import(bundle);
const tokenizer = new Tokenizer(JSON.parse(readFileSync(vocabulary)), {});
const texts = JSON.parse(readFileSync(0));
console.log(JSON.stringify(texts.map((text) => tokenizer.encode(text).ids)));
"""


def tokens(texts: Sequence[str], bundle: Path, vocabulary: Path) -> list[list[int]]:
    """Token numbers of each text.

    Args:
        texts: what to split.
        bundle: the tokenizer's module, as the page has it.
        vocabulary: the model's tokenizer.json.

    Raises:
        DemoError: Node is missing, or the tokenizer fails.
    """
    node = shutil.which("node")
    if node is None:
        raise DemoError("node is not on PATH: make setup")
    command = [node, "--input-type=module", "-e", ENCODE, bundle.resolve().as_uri(), str(vocabulary)]
    done = subprocess.run(
        command, input=json.dumps(list(texts)), capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise DemoError(f"the tokenizer fails: {done.stderr.strip()}")
    found: list[list[int]] = json.loads(done.stdout)
    return found


def embed(
    session: pyruntime.Session, rows: Sequence[Sequence[int]], tell: Callable[[float], object]
) -> Vectors:
    """A unit vector for each row of token numbers, [rows, d]; `tell` hears of the share that is done."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    made: dict[int, Vectors] = {}
    for first in range(0, len(order), BATCH):
        batch = order[first : first + BATCH]
        longest = max(len(rows[index]) for index in batch)
        ids, mask = np.zeros((2, len(batch), longest), np.int64)
        for row, index in enumerate(batch):
            ids[row, : len(rows[index])] = rows[index]
            mask[row, : len(rows[index])] = 1
        vectors = session.run({"input_ids": ids, "attention_mask": mask})[OUTPUT]
        made.update(zip(batch, vectors, strict=True))
        tell(len(made) / len(rows))
    return np.stack([made[index] for index in range(len(rows))])
