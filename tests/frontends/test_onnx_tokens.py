"""ONNX Runtime's Tokenizer gives what it gives there: words, characters, and what fills up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper

from pyruntime.errors import UnsupportedError
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import agrees, imported, model, runtime
from tests.frontends.string_models import Feeds, strings

TEXTS = strings("", "one", "two  words, and_4 more!", "naïve 42é x", "深红 a\nbc", "a-b-c-d-e-f g", "##")


def tokenizer(expression: str, least: int = 1, texts: Any = TEXTS, **attrs: Any) -> tuple[ModelProto, Feeds]:
    """A model of one node, of any number of strings, and its feeds."""
    options = {"mark": 0, "pad_value": "#", "mincharnum": least, "tokenexp": expression, **attrs}
    node = helper.make_node("Tokenizer", ["x"], ["out"], name="node", domain="com.microsoft", **options)
    sizes = ["n", *texts.shape[1:]]
    feeds = {"x": texts}
    return model([node], feeds, ["out"], shapes={"x": sizes}, domains={"com.microsoft": 1}), feeds


@pytest.mark.parametrize("least", [1, 2, 4])
@pytest.mark.parametrize("expression", ["[a-zA-Z0-9_]+", r"\w+", "[^b-y !]", "[a-c-]+", r"[\d,]{2,}", "[ab]"])
def test_words(expression: str, least: int) -> None:
    if expression.startswith("[^"):
        least = 1
    agrees(*tokenizer(expression, least))


@pytest.mark.parametrize("expression", [".", r"[^ ]+", r"\S", "[^a-z]"])
def test_characters_of_any_length(expression: str) -> None:
    agrees(*tokenizer(expression))
    agrees(*tokenizer(expression, texts=TEXTS.reshape(-1, 1), pad_value="nothing here"))


def test_no_token_at_all() -> None:
    proto, feeds = tokenizer("[0-9]+")
    agrees(proto, {"x": strings("", "none")})
    agrees(proto, feeds)


@pytest.mark.parametrize("device", DEVICES)
def test_on_devices(device: Device, tmp_path: Path) -> None:
    proto, feeds = tokenizer("[a-zA-Z0-9_]+", 2)
    wanted, got = runtime(proto, feeds)["out"], on_device(proto, feeds, device, tmp_path)["out"]
    np.testing.assert_array_equal(got, wanted)


def test_what_is_not_supported_is_told() -> None:
    for expression in ("a|b", "[a-z]+[0-9]", "[é]+", "[a-z]*"):
        with pytest.raises(UnsupportedError, match="expression"):
            imported(tokenizer(expression)[0])
    with pytest.raises(UnsupportedError, match="at least 2 of any"):
        imported(tokenizer("[^ ]+", 2)[0])
    with pytest.raises(UnsupportedError, match="marks"):
        imported(tokenizer(".", mark=1)[0])
