"""Writes the packs of this folder: `python -m tests.formats.make`. Once for each format.

What is committed is what users have: a change of the converter is no reason to write it anew. A format that
changes gets a new number, and an archive beside the others; until the first release it may be written anew.
"""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

import pyruntime
from pyruntime.pack.schema import FORMAT
from tests.browser.golden import encode
from tests.frontends.control_models import MODELS as CONTROL
from tests.frontends.mixed_models import MODELS as MIXED
from tests.frontends.onnx_models import random, runtime
from tests.frontends.selection_models import MODELS as SELECTING
from tests.frontends.string_models import MODELS as STRINGS
from tests.passes.net import Net
from tests.state.streams import running_sum

HERE = Path(__file__).parent
Arrays = Mapping[str, NDArray[Any]]


class Source(NamedTuple):
    """A model, what is fed in each run and comes of it, and options of `convert`."""

    proto: ModelProto
    runs: Sequence[tuple[Arrays, Arrays]]
    options: Mapping[str, Any] = {}


def _plain(proto: ModelProto, feeds: Sequence[Arrays], **options: Any) -> Source:
    return Source(proto, [(given, runtime(proto, given)) for given in feeds], options)


def _dense() -> Source:
    """A size that varies, weights of float16, integers, a file that travels with the model."""
    feeds = [{"ids": np.arange(2 * n).reshape(n, 2) % 7} for n in (1, 3)]
    net = Net(feeds[0], {"ids": ["batch", 2]})
    # eighths, which float16 holds exactly
    table, matrix = (np.round(random(*s, seed=1) * 8).astype(np.float32) / 8 for s in ((7, 5), (5, 4)))
    rows = net("ReduceSum", net("Gather", table, "ids", axis=0), np.array([1]), keepdims=0)
    proto = net.proto(net("Softmax", net("MatMul", rows, matrix), axis=-1))
    return _plain(proto, feeds, weights="f16", assets={"labels.txt": b"a\nb\nc\nd\n"})


def _state() -> Source:
    stream = running_sum()
    steps = stream.steps(4)
    runs = [(given, made) for given, (made, _) in zip(steps, stream.reference(steps), strict=True)]
    return Source(stream.proto, runs, {"state": stream.state, **stream.options})


def sources() -> dict[str, Source]:
    """All models, each for what only its pack has."""
    mixed = next(iter(MIXED.values()))()
    return {
        "dense": _dense(),
        "state": _state(),
        "control": _plain(*CONTROL["loop-while"]),
        "sizes": _plain(*SELECTING["select-indices"]),
        "host": _plain(*mixed),
        "strings": _plain(*STRINGS["strings-moved"]),
    }


def write(folder: Path) -> None:
    """All packs and their cases, under folder."""
    with tempfile.TemporaryDirectory() as models:
        for name, (proto, runs, options) in sources().items():
            model = Path(models) / f"{name}.onnx"
            model.write_bytes(proto.SerializeToString())
            pyruntime.convert(model, folder / name, **options)
            case = {
                "case": name,
                "entry": "main",
                "tolerance": 1e-5,
                "runs": [{"feeds": encode(given), "outputs": encode(made)} for given, made in runs],
            }
            (folder / f"{name}.cases.json").write_text(json.dumps([case]) + "\n")


def _plain_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def main() -> None:
    """Write the archive of the present format."""
    path = HERE / f"format-{FORMAT}.tar.xz"
    with tempfile.TemporaryDirectory() as made:
        write(Path(made))
        with tarfile.open(path, "w:xz", preset=9) as archive:
            for each in sorted(Path(made).iterdir()):
                archive.add(each, each.name, filter=_plain_owner)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
