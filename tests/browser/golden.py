"""Walks golden packs in a browser: a folder with NAME/ (a pack) and NAME.cases.json for each.

A case file is a list of {"entry", "feeds", "outputs"}, or an object with that list as "cases" and, where the
default is too strict, "rtol" and "atol". A tensor is {"dtype", "shape", "data"}, data flat numbers or base64.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from playwright.sync_api import Page

SUFFIX = ".cases.json"
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Case:
    """One run of an entry, and how near its outputs must come."""

    entry: str | None
    feeds: Arrays
    outputs: Arrays
    rtol: float
    atol: float


def names(folder: Path) -> list[str]:
    """The packs of a folder that have cases."""
    return sorted(p.name.removesuffix(SUFFIX) for p in folder.glob(f"*{SUFFIX}"))


def cases(folder: Path, name: str) -> Iterator[Case]:
    """The cases of a pack."""
    told = json.loads((folder / f"{name}{SUFFIX}").read_text())
    listed, tolerance = (told, {}) if isinstance(told, list) else (told["cases"], told)
    for case in listed:
        yield Case(
            case.get("entry"),
            {k: _array(v) for k, v in case["feeds"].items()},
            {k: _array(v) for k, v in case["outputs"].items()},
            tolerance.get("rtol", 1e-6),
            tolerance.get("atol", 1e-6),
        )


def _array(tensor: Mapping[str, Any]) -> NDArray[Any]:
    data, dtype = tensor["data"], tensor["dtype"]
    flat = np.frombuffer(base64.b64decode(data), dtype) if isinstance(data, str) else np.array(data, dtype)
    return flat.reshape(tensor["shape"])


def encode(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Tensors as the harness takes them."""
    return {
        k: {"dtype": a.dtype.name, "shape": a.shape, "data": base64.b64encode(a.tobytes()).decode()}
        for k, a in arrays.items()
    }


def check(page: Page, url: str, folder: Path, name: str, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Runs every case of a pack that the page finds below url; what sessions reported, one per entry."""
    reports = []
    for entry, group in groupby(cases(folder, name), key=lambda c: c.entry):
        listed = list(group)
        chosen = {**options, **({"entry": entry} if entry is not None else {})}
        made = page.evaluate(
            "([url, options, feeds]) => harness.runAll(url, options, feeds)",
            [f"{url}/{name}/", chosen, [encode(c.feeds) for c in listed]],
        )
        reports.append({"device": made["device"], **made["report"]})
        for case, outputs in zip(listed, made["outputs"], strict=True):
            assert outputs.keys() == case.outputs.keys()
            for key, expected in case.outputs.items():
                got = _array(outputs[key])
                assert got.dtype == expected.dtype
                where = f"{name} {entry} {key}"
                if expected.dtype.kind == "f":
                    np.testing.assert_allclose(got, expected, case.rtol, case.atol, err_msg=where)
                else:
                    np.testing.assert_array_equal(got, expected, err_msg=where)
    return reports
