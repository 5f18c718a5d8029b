"""WebGPU: of a step with several forms only those are compiled that a run's sizes need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pyruntime
from pyruntime.runtime.gpu_pipelines import Pipelines
from tests.frontends.form_models import expected, rows, two_forms
from tests.runtime.test_host_steps import packed, same

pytestmark = pytest.mark.webgpu


def test_forms_are_compiled_when_sizes_need_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    make = Pipelines._make

    def recorded(pipelines: Pipelines, shader: Any) -> tuple[Any, Any]:
        compiled.append(shader.name.rpartition("_")[0])
        return make(pipelines, shader)

    monkeypatch.setattr(Pipelines, "_make", recorded)
    path, _ = packed(tmp_path, (two_forms(), []))
    with pyruntime.load(path, device="webgpu") as session:
        assert not {"direct", "matvec"} & set(compiled)
        certain = len(compiled)
        assert certain > 0
        for count, added in ((9, ["direct"]), (30, []), (2, ["matvec"]), (9, [])):
            del compiled[:]
            same(session.run({"x": rows(count)}), expected(rows(count)))
            assert compiled == added
