"""XLM-RoBERTa: Conneau et al., "Unsupervised Cross-lingual Representation Learning at Scale", 2019.

RoBERTa over another vocabulary.
"""

from __future__ import annotations

from pyruntime_converter.garden.architectures import roberta

ARCHITECTURES = tuple(name.replace("Roberta", "XLMRoberta") for name in roberta.ARCHITECTURES)
build = roberta.build
