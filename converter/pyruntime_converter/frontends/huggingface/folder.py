"""A Hugging Face folder to a graph: config, weights, the garden's architecture, and what stands around it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyruntime.errors import ModelError, UnsupportedError
from pyruntime.ir.graph import Graph, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.frontends.huggingface.checkpoint import Checkpoint
from pyruntime_converter.frontends.huggingface.config import NAME, Config
from pyruntime_converter.frontends.huggingface.sentence import MODULES, Sentence, add_embedding, read_sentence
from pyruntime_converter.frontends.model import ImportedModel
from pyruntime_converter.garden.registry import Architecture, Source, find

# what the tokenizers of Python and JavaScript read; they travel in the pack
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def import_folder(path: Path, name: str | None) -> ImportedModel:
    """The graph of a folder with config.json and safetensors, and its tokenizer's files as assets.

    Raises:
        ModelError: a file is missing or damaged, or the weights are not what config.json describes.
        UnsupportedError: the architecture, or an option of it, is not known.
    """
    sentence = read_sentence(path)
    folder = sentence.folder if sentence else path
    config = Config.read(folder)
    config.refuse("quantization_config")
    weights = Checkpoint(folder)
    architecture = find(config.text("model_type"), config.where)
    graph = Graph(name or path.resolve().name)
    builder = Builder(graph)
    outputs = architecture.build(Source(config, weights, builder, _wanted(config, architecture, sentence)))
    if sentence:
        outputs = _sentence_outputs(builder, outputs, sentence)
    graph.output_names, graph.outputs = list(outputs), list(outputs.values())
    files = [folder / NAME, *weights.files, *(sentence.files if sentence else ())]
    assets = {n: folder / n for n in TOKENIZER_FILES if (folder / n).is_file()}
    return ImportedModel(
        graph, "huggingface", _digest(path, files), 0, config.text("transformers_version", ""), assets
    )


def _wanted(config: Config, architecture: Architecture, sentence: Sentence | None) -> str:
    """The class to build: what config.json names, or the encoder alone under a sentence's pooling."""
    base = architecture.ARCHITECTURES[0]
    named = config.texts("architectures")
    if sentence or not named:
        return base
    if named[0] not in architecture.ARCHITECTURES:
        raise UnsupportedError(
            "architecture",
            named[0],
            f"{config.where} asks for it; known for this model_type: {', '.join(architecture.ARCHITECTURES)}",
            "Export the model to ONNX.",
        )
    return named[0]


def _sentence_outputs(builder: Builder, outputs: Mapping[str, Value], sentence: Sentence) -> dict[str, Value]:
    """The hidden states and what is pooled of them."""
    hidden = outputs.get("last_hidden_state")
    mask = next((v for v in builder.graph.inputs if v.name == "attention_mask"), None)
    if hidden is None or mask is None:
        raise UnsupportedError("pooling", MODULES, "the architecture has no hidden states to pool")
    return {
        "last_hidden_state": hidden,
        "sentence_embedding": add_embedding(builder, hidden, mask, sentence),
    }


def _digest(folder: Path, files: Sequence[Path]) -> str:
    """SHA-256 of a list of the files with their own, as the program sha256sum prints it."""
    lines = []
    for path in sorted(files):
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from None
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()
