"""`pyruntime ops`: the table of operators, one operator with its reasons, and a wrong name."""

from __future__ import annotations

import json

from pyruntime.cli import operators
from tests.cli.conftest import Invoke, start


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


def test_marks_tell_where_a_dtype_is_taken() -> None:
    """By the GPU, by its host, by Wasm alone or nowhere; a circle or brackets where no test runs it."""
    both, on_host = ["wasm", "webgpu"], ["host", "wasm"]
    taken = {"float": both, "double": on_host, "int64": on_host, "int32": both, "int8": ["wasm"], "bool": []}
    told = {"dtypes": taken, "run": {"float": both, "double": both, "int64": ["wasm"], "int8": ["wasm"]}}
    marks = {dtype: operators.cell(told, dtype) for dtype in (*taken, "string")}
    assert marks == {
        "float": "●",
        "double": "h",
        "int64": "(h)",
        "int32": "○",
        "int8": "w",
        "bool": "·",
        "string": "",
    }


def test_the_shell_completes_operators() -> None:
    done = start(_PYRUNTIME_COMPLETE="complete_bash", COMP_WORDS="pyruntime ops Resh", COMP_CWORD="2")
    assert (done.returncode, done.stdout.split()) == (0, ["Reshape"])
