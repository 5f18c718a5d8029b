"""Rows of what models of sequences and signals have: attention, rotary embeddings, transforms, losses."""

from __future__ import annotations

from tests.fuzz.rows import Arg, Row

_SCORES = {
    "is_causal": (None, 1),
    "scale": (None, 0.5),
    "softcap": (None, 1.5),
    "qk_matmul_output_mode": (None, 1, 2, 3),
}
# what a mask hides counts as nothing, NaN and infinities too; references multiply them by 0
_HEADS = {"g": (1, 2, 3), "h": (1, 2), "d": (1, 2, 4, 5), "e": (1, 3, 4)}
_MASK = Arg("q k", ("", "bool"), share=0.5)
_TURNS = {"d": (1, 2, 3), "h": (1, 2), "m": (4, 7)}

ROWS = (
    Row(
        "Attention",
        (Arg("b g*h q d"), Arg("b h k d"), Arg("b h k e"), _MASK),
        _SCORES,
        _HEADS,
        weight=1.2,
        defined=True,
    ),
    Row(
        "Attention",
        (Arg("b q g*h*d"), Arg("b k h*d"), Arg("b k h*e"), _MASK),
        {**_SCORES, "q_num_heads": "g*h", "kv_num_heads": "h"},
        _HEADS,
        defined=True,
    ),
    Row(
        "Attention",
        (
            *(Arg("b g*h q d"), Arg("b h k d"), Arg("b h k e")),
            Arg("q p+k", ("", "bool"), share=0.5),
            *(Arg("b h p d"), Arg("b h p e")),
        ),
        _SCORES,
        _HEADS,
        outputs=(3, 4),
        defined=True,
    ),
    Row(
        "RotaryEmbedding",
        (Arg("b h s 2*d"), Arg("m d"), Arg("m d"), Arg("b s", ("int64",), below="m")),
        {"interleaved": (None, 1)},
        _TURNS,
    ),
    Row(
        "RotaryEmbedding",
        (Arg("b s h*2*d"), Arg("b s d"), Arg("b s d")),
        {"interleaved": (None, 1), "num_heads": "h"},
        _TURNS,
    ),
    Row(
        "RotaryEmbedding",
        (Arg("b h s 2*d+3"), Arg("b s d"), Arg("b s d")),
        {"interleaved": (None, 1), "rotary_embedding_dim": "2*d"},
        _TURNS,
    ),
    Row(
        "DFT",
        (Arg("b s n 1"), Arg(share=0.0), Arg("", ("int64",), options=(1, 2, -2))),
        {"onesided": (None, 1), "inverse": (None, None, 1)},
        weight=0.4,
        defined=True,  # zeros of sines times infinity
    ),
    Row(
        "NegativeLogLikelihoodLoss",
        (Arg("b c d"), Arg("b d", ("int64",), below="c"), Arg("c", kind="positive", share=0.5)),
        {"reduction": ("none", "mean", "sum"), "ignore_index": (None, 1)},
        weight=0.3,
    ),
    Row(
        "SoftmaxCrossEntropyLoss",
        (Arg("b c"), Arg("b", ("int32", "int64"), below="c"), Arg("c", kind="positive", share=0.5)),
        {"reduction": ("none", "mean", "sum"), "ignore_index": (None, 0)},
        outputs=(1, 2),
        weight=0.4,
    ),
    Row(
        "STFT",
        (Arg("b t 1"), Arg("", ("int64",), options=(1, 2, 3)), Arg("4", kind="positive", weight=1.0)),
        {"onesided": (None, 0)},
        {"t": (4, 7, 9)},
        weight=0.3,
        defined=True,
    ),
    *(
        Row(op, (Arg("", ("int64",), options=(1, 4, 9)),), {"periodic": (None, 0)}, weight=0.1)
        for op in ("BlackmanWindow", "HammingWindow", "HannWindow")
    ),
    Row(
        "MelWeightMatrix",
        (
            Arg("", ("int64",), options=(2, 5)),
            Arg("", ("int64",), options=(16, 31)),
            Arg("", ("int64",), options=(8000,)),
            Arg("", ("float32",), options=(0, 20)),
            Arg("", ("float32",), options=(3000,)),
        ),
        weight=0.1,
    ),
    Row("Det", (Arg("b n n"),), sizes={"n": (1, 2, 3)}, weight=0.3),
)
