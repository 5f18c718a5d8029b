"""Whatever pack.json says of state, running it ends in results or in a PyRuntimeError, nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.test_mutations import DEVICES, SETTINGS, mutated, run_mutated
from tests.state.streams import Stream


@DEVICES
@SETTINGS
@given(data=st.data())
def test_running(
    stateful: dict[str, tuple[Stream, Path]], tmp_path: Path, device: Any, data: st.DataObject
) -> None:
    originals = {
        name: json.loads((stateful[name][1] / "pack.json").read_text())
        for name in ("cell", "cache", "exchange", "history")
    }
    for manifest in originals.values():
        manifest.pop("report")
    name, manifest = data.draw(mutated(originals))
    run_mutated(stateful[name][1], tmp_path / name, manifest, device)
