"""What runs in the page's Python: it loads the pack and turns sentences into vectors.

There is no tokenizer for Pyodide: Python hands the page's JavaScript one the vocabulary, and calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import page  # type: ignore[import-not-found]  # what python.js offers

import pyruntime


async def open_model(url: str) -> tuple[pyruntime.Session, Any]:
    """A session, and a function that gives the bytes of float32 vectors, one for each sentence."""
    session = await pyruntime.load_async(
        url, device="wasm", cache=True, runtime=page.runtime, progress=page.show_progress
    )
    vocabulary = await session.asset_async("tokenizer.json")
    tokenize = page.make_tokenizer(vocabulary.decode())

    async def embed(sentences: Sequence[str]) -> memoryview:
        rows = [list(row) for row in tokenize(sentences)]
        longest = max(map(len, rows))
        ids = [row + [0] * (longest - len(row)) for row in rows]
        mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
        outputs = await session.run_async({"input_ids": ids, "attention_mask": mask})
        vectors: memoryview = outputs["sentence_embedding"].data
        return vectors

    return session, embed
