"""The weights of a model folder: model.safetensors, or the shards that its index names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.errors import ModelError, PyRuntimeError, UnsupportedError
from pyruntime_converter.frontends.huggingface.json_files import read_object
from pyruntime_converter.frontends.huggingface.safetensors import SafetensorsFile

SINGLE = "model.safetensors"
INDEX = f"{SINGLE}.index.json"
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
# what folders hold instead, when they were saved without safetensors
_OTHERS = ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack")


class Checkpoint:
    """Tensors by name, whichever file holds them; each is read when it is asked for.

    Attributes:
        files: the files that were opened, the index included.

    Raises:
        ModelError: there are no weights, or a file is damaged or not what the index says.
        UnsupportedError: the weights are in another format.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._where: dict[str, SafetensorsFile] = {}
        self._read: set[str] = set()
        if (folder / SINGLE).exists():
            self.files = [folder / SINGLE]
            file = SafetensorsFile(folder / SINGLE)
            self._where = dict.fromkeys(file.rows, file)
        elif (folder / INDEX).exists():
            self.files = [folder / INDEX]
            self._read_index()
        else:
            raise _missing(folder)

    def _read_index(self) -> None:
        path = self._folder / INDEX
        listed = read_object(path).get("weight_map")
        if not isinstance(listed, dict):
            raise ModelError(f"{path}: it has no weight_map")
        shards: dict[str, SafetensorsFile] = {}
        for name, shard in listed.items():
            if not isinstance(shard, str) or not _SHARD.fullmatch(shard):
                raise ModelError(f"{path}: tensor {name!r} is in {shard!r:.80}, which is no plain file name")
            if shard not in shards:
                shards[shard] = SafetensorsFile(self._folder / shard)
            if name not in shards[shard].rows:
                raise ModelError(
                    f"{self._folder / shard}: tensor {name!r} is missing, which {INDEX} says is there"
                )
            self._where[name] = shards[shard]
        self.files += [self._folder / shard for shard in sorted(shards)]

    def __contains__(self, name: str) -> bool:
        return name in self._where

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor. Raises ModelError where there is none."""
        return self._holder(name).rows[name].shape

    def array(self, name: str, shape: Sequence[int]) -> NDArray[Any]:
        """A tensor of this shape as float32: where the file has that, a view of it.

        Raises ModelError where it is missing or has another shape, UnsupportedError where it holds no floats.
        """
        found = self.shape(name)
        if found != tuple(shape):
            raise ModelError(
                f"{self._holder(name).path}: tensor {name!r} has shape {found};"
                f" config.json asks for {tuple(shape)}"
            )
        self._read.add(name)
        file = self._holder(name)
        array = file.array(name)
        if array.dtype == np.float32 and file.rows[name].dtype == "F32":
            return array
        wide = array.astype(np.float32, copy=False)
        file.release(name)
        return wide

    def unread(self, prefixes: Collection[str]) -> Iterator[str]:
        """Names that begin with one of the prefixes and were never asked for."""
        return (n for n in self._where if n.startswith(tuple(prefixes)) and n not in self._read)

    def _holder(self, name: str) -> SafetensorsFile:
        if name not in self._where:
            raise ModelError(f"{self._folder}: the weights have no tensor {name!r}")
        return self._where[name]


def _missing(folder: Path) -> PyRuntimeError:
    other = next((name for name in _OTHERS if (folder / name).exists()), None)
    if other is None:
        return ModelError(f"{folder}: there is neither {SINGLE} nor {INDEX}")
    return UnsupportedError(
        "weights",
        str(folder / other),
        f"supported are {SINGLE} and {INDEX}",
        "Save the model with safe_serialization=True.",
    )
