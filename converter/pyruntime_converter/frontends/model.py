"""Finds out what kind of model file it was given and hands it to the front end of that format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyruntime.errors import ModelError, OptionError, UnsupportedError
from pyruntime.ir.graph import Graph
from pyruntime_converter.options import NOTHING, Told


@dataclass(frozen=True)
class ImportedModel:
    """A graph, and where it comes from.

    Attributes:
        graph: the program in canonical ops; verified.
        format: the source's format, as packs name it: "onnx", "huggingface".
        sha256: of the model file's bytes, hex; files beside it (external weights) are not part of it. Of a
            folder, of the list of the files that were read, as sha256sum prints it.
        opset: version of the format's default operator set; 0 where it has none.
        producer: the tool that wrote the file, as the file says; may be empty.
        assets: files beside the model that its users need, such as tokenizer.json, by name.
    """

    graph: Graph
    format: str
    sha256: str
    opset: int
    producer: str = ""
    assets: Mapping[str, Path] = field(default_factory=dict)


def _onnx(source: Path | bytes, name: str | None, told: Told, survey: bool) -> ImportedModel:
    from pyruntime_converter.frontends.onnx import import_model

    return import_model(source, name, told, survey=survey)


def _folder(path: Path, name: str | None) -> ImportedModel:
    from pyruntime_converter.frontends.huggingface import import_folder

    return import_folder(path, name)


Reader = Callable[[Path | bytes, str | None, Told, bool], ImportedModel]
_READERS: dict[str, Reader] = {".onnx": _onnx}
# formats that people will try, so that the message can name what the file is
_RECOGNISED = {
    ".tflite": "a TensorFlow Lite model",
    ".h5": "a Keras HDF5 model",
    ".hdf5": "a Keras HDF5 model",
    ".keras": "a Keras 3 model",
    ".pt2": "a torch.export program",
    ".pt": "a PyTorch checkpoint",
    ".pth": "a PyTorch checkpoint",
    ".pb": "a TensorFlow graph",
    ".mlir": "an MLIR module",
    ".safetensors": "weights without a program",
    ".ort": "an ONNX Runtime flatbuffer",
    ".zip": "an archive, perhaps a pack, which is converted already",
}


def read_model(
    source: str | Path | bytes, name: str | None = None, told: Told = NOTHING, *, survey: bool = False
) -> ImportedModel:
    """Read a model of any supported format (now: ONNX files and Hugging Face folders).

    Args:
        source: path of the file or folder, or an ONNX model's bytes.
        name: the graph's name; by default the file's name without its suffix, or the folder's.
        told: what the user says of its inputs.
        survey: whether a front end that can goes on past what cannot be converted; it raises a SurveyedError
            (`frontends/onnx/survey.py`) with all that it found.

    Raises:
        OptionError: `told` names what there is not, or does not fit it.
        ModelError: the file is missing, damaged or inconsistent.
        UnsupportedError: the format, or something that the model uses, cannot be converted.
    """
    if isinstance(source, bytes):
        return _onnx(source, name, told, survey)
    path = Path(source)
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    if path.is_dir() and path.suffix.lower() not in _READERS:
        kind = "a TensorFlow SavedModel" if (path / "saved_model.pb").exists() else ""
        if not kind:
            if told:
                raise OptionError(f"{path} is a folder: nothing can be told of its model's inputs")
            _check_folder(path)
            return _folder(path, name)
    else:
        reader = _READERS.get(path.suffix.lower())
        if reader is not None:
            return reader(path, name, told, survey)
        kind = _RECOGNISED.get(path.suffix.lower()) or (
            f"a file with the suffix {path.suffix!r}" if path.suffix else "a file without a suffix"
        )
    raise UnsupportedError(
        "model format",
        str(path),
        f"it is {kind}; supported are {', '.join(sorted(_READERS))} (ONNX) and folders with config.json",
        "Export the model to ONNX.",
    )


def _check_folder(path: Path) -> None:
    """Raise ModelError for a folder that is no model's, and say what it is, or where its model is."""
    if (path / "pack.json").exists():
        raise ModelError(f"{path}: a pack, which is converted already; give the model that it was made of")
    if not any((path / name).exists() for name in ("config.json", "modules.json")):
        found = sorted(file.name for file in path.glob("*.onnx"))
        hint = f"; it holds {', '.join(found[:3])}: give the file itself" if found else ""
        raise ModelError(f"{path / 'config.json'}: no such file, and no model is a folder without it{hint}")
