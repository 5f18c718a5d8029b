"""RoBERTa: Liu et al., "RoBERTa: A Robustly Optimized BERT Pretraining Approach", 2019.

BERT's encoder with other positions: they count the tokens that are not padding, from the padding's id + 1 on.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyruntime.errors import ModelError
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.garden.architectures.bert import hidden_states, pooled
from pyruntime_converter.garden.blocks import Blocks
from pyruntime_converter.garden.encoder import find_prefix
from pyruntime_converter.garden.registry import Source

ARCHITECTURES = ("RobertaModel", "RobertaForSequenceClassification", "RobertaForTokenClassification")


def build(source: Source) -> Mapping[str, Value]:
    """The outputs of the class in Transformers, as for BERT; inputs too."""
    padding = source.config.index("pad_token_id", 1)
    longest = source.config.size("max_position_embeddings") - padding - 1
    if longest < 1:
        raise ModelError(f"{source.config.where}: max_position_embeddings leaves no positions past {padding}")
    prefix = find_prefix(source.weights, ("", "roberta."), source.config.where)

    def place(blocks: Blocks, ids: Value, rows: int, width: int) -> Value:
        blocks.enter("Positions", "embeddings.position_embeddings")
        token = blocks.op("Not", blocks.op("Equal", ids, blocks.scalar(padding, DType.I64)))
        counts = blocks.op("Cast", token, to=DType.I64)
        numbers = blocks.op("Mul", blocks.op("CumSum", counts, axis=1), counts)
        numbers = blocks.op("Add", numbers, blocks.scalar(padding, DType.I64))
        return blocks.embedding(numbers, "embeddings.position_embeddings", rows, width)

    x = hidden_states(source, prefix, longest, place)
    blocks, head = (Blocks(source.builder, source.weights, p) for p in (prefix, ""))
    _, _, task = source.architecture.partition("For")
    match task:
        case "TokenClassification":
            return {"logits": head.classifier(x, "classifier")}
        case "SequenceClassification":
            width = x.shape[-1]
            assert isinstance(width, int)
            dense = head.linear(head.first_token(x), "classifier.dense", width=width)
            return {"logits": head.classifier(head.op("Tanh", dense), "classifier.out_proj")}
    if f"{prefix}pooler.dense.weight" in source.weights:
        return {"last_hidden_state": x, "pooler_output": pooled(blocks, x)}
    return {"last_hidden_state": x}
