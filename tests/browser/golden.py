"""Walks golden packs in a browser: a folder with NAME/ (a pack) and NAME.cases.json for each.

A case file is a list of {"entry", "tolerance", "runs"}, runs a list of {"feeds", "outputs"}; a case that has
"feeds" and "outputs" itself is one run. A tensor is {"dtype", "shape", "base64"}, or "data" with numbers or
strings.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tests.converter.compare import assert_close

SUFFIX = ".cases.json"
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Case:
    """Runs of one entry, as pairs of feeds and outputs, and how near the outputs must come."""

    name: str
    entry: str
    runs: tuple[tuple[Arrays, Arrays], ...]
    tolerance: float


def names(folder: Path) -> list[str]:
    """The packs of a folder that have cases."""
    return sorted(p.name.removesuffix(SUFFIX) for p in folder.glob(f"*{SUFFIX}"))


def cases(folder: Path, name: str) -> Iterator[Case]:
    """The cases of a pack."""
    for number, case in enumerate(json.loads((folder / f"{name}{SUFFIX}").read_text())):
        runs = tuple(
            (decode_all(run["feeds"]), decode_all(run["outputs"])) for run in case.get("runs", [case])
        )
        title = case.get("case", f"{name} {case['entry']} {number}")
        yield Case(title, case["entry"], runs, case.get("tolerance", 1e-6))


def decode_all(tensors: Mapping[str, Any]) -> Arrays:
    """The arrays that `encode` was given."""
    return {name: decode(tensor) for name, tensor in tensors.items()}


def decode(tensor: Mapping[str, Any]) -> NDArray[Any]:
    """The array of a tensor in a case file, or from the harness."""
    if "base64" in tensor:
        flat = np.frombuffer(base64.b64decode(tensor["base64"]), tensor["dtype"])
    else:
        dtype = object if tensor["dtype"] == "string" else tensor["dtype"]
        flat = np.array(tensor["data"], dtype)
    return flat.reshape(tensor["shape"])


def encode(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Tensors as case files have them and the harness takes them: bits in base64, since JSON has no NaN."""
    return {name: _encoded(array) for name, array in arrays.items()}


def _encoded(array: NDArray[Any]) -> dict[str, Any]:
    if array.dtype == object:
        return {"dtype": "string", "shape": array.shape, "data": array.ravel().tolist()}
    return told(array.dtype.name, array.shape, array.tobytes())


def told(dtype: str, shape: Sequence[int], data: bytes | memoryview) -> dict[str, Any]:
    """A tensor of numbers, the same way."""
    return {"dtype": dtype, "shape": shape, "base64": base64.b64encode(data).decode()}


class Evaluates(Protocol):
    """A page, of any browser, that has the harness."""

    def evaluate(self, expression: str, arg: Any = None, /) -> Any:
        """What an expression gives, called with `arg` if it is a function, and awaited."""


def check(
    page: Evaluates, url: str, folder: Path, name: str, options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Runs every case of the pack that the page finds at url; what sessions reported, one per case.

    Failures are gathered, so that one run shows them all.
    """
    from playwright.sync_api import Error as PlaywrightError

    reports, failures = [], []
    for case in cases(folder, name):
        feeds = [encode(given) for given, _ in case.runs]
        try:
            made = page.evaluate(
                "([url, options, feeds]) => harness.runAll(url, options, feeds)",
                [url, {**options, "entry": case.entry}, feeds],
            )
            reports.append(made["report"])
            for (_, expected), outputs in zip(case.runs, made["outputs"], strict=True):
                assert outputs.keys() == expected.keys()
                for key, array in expected.items():
                    assert_close(decode(outputs[key]), array, case.tolerance)
        except (AssertionError, PlaywrightError) as error:
            failures.append(f"{case.name}: {error}")
    assert not failures, f"{len(failures)} cases:\n" + "\n".join(failures)
    return reports
