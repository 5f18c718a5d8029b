"""`pyruntime ops`: the table of operators, one operator with its reasons, and a wrong name."""

from __future__ import annotations

import json

from tests.cli.conftest import Invoke


def test_all_operators(invoke: Invoke) -> None:
    result = invoke("ops")
    assert result.exit_code == 0
    assert {"Conv", "MatMul", "Resize"} <= set(result.output.split())


def test_one_operator(invoke: Invoke) -> None:
    told = json.loads(invoke("ops", "matmul", "--json").stdout)
    assert list(told["operators"]) == ["MatMul"]
    assert told["operators"]["MatMul"]["dtypes"]["float"] == ["wasm", "webgpu"]
    assert "MatMul" in invoke("ops", "MatMul").output


def test_wrong_name(invoke: Invoke) -> None:
    result = invoke("ops", "Convv")
    assert result.exit_code == 2
    assert "Conv" in result.output
