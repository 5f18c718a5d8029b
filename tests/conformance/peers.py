"""What others make of the same cases: ONNX Runtime, ONNX's reference evaluator, emx-onnx-cgen."""

from __future__ import annotations

import functools
import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ValueInfoProto, helper

from tests.conformance.engine import Verdict
from tests.conformance.judge import Outcome, failed, is_extension, mismatch, skipped
from tests.conformance.suite import BUILD, Case, named

LOCK = Path(__file__).with_name("requirements.lock")
PACKAGES = BUILD / "python"
EMX = "emx-onnx-cgen"


class AbsentError(Exception):
    """Why a peer cannot be had here."""


class RefusedError(Exception):
    """A peer says that it does not support a model."""


Model = Callable[[Sequence[Any]], Sequence[Any]]
Prepare = Callable[[Case], Model]


class Peer:
    """One of PEERS, which prepares a model or refuses it."""

    def __init__(self, name: str) -> None:
        self.targets: tuple[str, ...] = (name,)
        self._name = name
        self._prepare: Prepare | None = None

    def case(self, test: str) -> Case:
        """As `Engine`."""
        return named(test)

    def judge(self, cases: Sequence[Case]) -> Iterator[Verdict | str]:
        """As `Engine`."""
        self._prepare = self._prepare or PEERS[self._name]()
        for case in cases:
            yield case.name
            yield Verdict(case.name, self._name, _judged(case, self._prepare))


def _judged(case: Case, prepare: Prepare) -> Outcome:
    try:
        model = prepare(case)
        for inputs, wanted in case.data_sets:
            different = mismatch(case, wanted, list(model(inputs)))
            if different:
                return failed(different)
    except RefusedError as error:
        return skipped(error)
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is what it made of the case
        return failed(error)
    return Outcome("passed")


def version(name: str) -> str:
    """The peer's version. Raises AbsentError where it cannot be had."""
    if name == EMX:
        _install()
    package = {"reference": "onnx"}.get(name, name)
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise AbsentError(f"{package} is not installed") from None


# ---- ONNX Runtime


def _onnxruntime() -> Prepare:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    refusals = (states.Fail, states.InvalidArgument, states.InvalidGraph, states.NotImplemented)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1

    def prepare(case: Case) -> Model:
        try:
            session = onnxruntime.InferenceSession(case.model, options, providers=["CPUExecutionProvider"])
        except refusals as error:
            raise RefusedError(error) from None

        def run(inputs: Sequence[Any]) -> Sequence[Any]:
            feeds = case.feeds(inputs)
            if any(_short(v) for v in feeds.values()):
                types = {v.name: v.type.tensor_type.elem_type for v in case.fed}
                values = {n: _ort_value(a, types[n]) for n, a in feeds.items()}
                results = [v.numpy() for v in session.run_with_ort_values(None, values)]
            else:
                results = list(session.run(None, feeds))
            wanted = [_element_dtype(v) for v in case.proto.graph.output]
            return [_named(r, w) for r, w in zip(results, wanted, strict=True)]

        return run

    return prepare


def _short(value: Any) -> bool:
    """Whether these are elements that NumPy itself does not have."""
    return isinstance(value, np.ndarray) and is_extension(value.dtype)


def _element_dtype(value: ValueInfoProto) -> np.dtype[Any] | None:
    if value.type.WhichOneof("value") != "tensor_type":
        return None
    return helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def _named(result: Any, dtype: np.dtype[Any] | None) -> Any:
    """An output that is given as bare bits under the name of its dtype."""
    if dtype is None or not is_extension(dtype) or not isinstance(result, np.ndarray):
        return result
    return result.view(dtype) if result.dtype == f"uint{8 * dtype.itemsize}" else result


def _ort_value(array: Any, element_type: int) -> Any:
    from onnxruntime import OrtValue

    if not _short(array):
        return OrtValue.ortvalue_from_numpy(array)
    if "int" in array.dtype.name or "float4" in array.dtype.name:
        raise RefusedError(f"its Python interface takes no {array.dtype.name}")
    words = np.ascontiguousarray(array).view(f"uint{8 * array.dtype.itemsize}")
    return OrtValue.ortvalue_from_numpy_with_onnx_type(words, element_type)


# ---- ONNX's reference evaluator


def _reference() -> Prepare:
    from onnx.reference import ReferenceEvaluator

    def prepare(case: Case) -> Model:
        try:
            evaluator = ReferenceEvaluator(case.proto)
        except NotImplementedError as error:  # how it says that it lacks an operator
            raise RefusedError(error) from None

        def run(inputs: Sequence[Any]) -> Sequence[Any]:
            names = [v.name for v in case.fed]
            return list(evaluator.run(None, dict(zip(names, inputs, strict=True))))

        return run

    return prepare


# ---- emx-onnx-cgen


def _install() -> None:
    """Put its packages at the end of Python's path; fetch them if the lock file has changed."""
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        raise AbsentError("there is no C compiler for this machine")
    stamp = PACKAGES / LOCK.name
    if not stamp.is_file() or stamp.read_bytes() != LOCK.read_bytes():
        shutil.rmtree(PACKAGES, ignore_errors=True)
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
        done = subprocess.run(
            [*pip, "--target", str(PACKAGES), "-r", str(LOCK)], capture_output=True, check=False
        )
        if done.returncode:
            raise AbsentError("pip does not find what tests/conformance/requirements.lock names")
        stamp.write_bytes(LOCK.read_bytes())
    if str(PACKAGES) not in sys.path:
        sys.path.append(str(PACKAGES))


def _emx() -> Prepare:
    import jinja2

    _install()
    # it compiles all its templates for each model, which would take 20 times as long as all else
    emitter: Any = importlib.import_module("emx_onnx_cgen.codegen.c_emitter")
    kept = BUILD / "templates"
    kept.mkdir(parents=True, exist_ok=True)
    emitter.Environment = functools.partial(
        jinja2.Environment, bytecode_cache=jinja2.FileSystemBytecodeCache(str(kept))
    )
    errors: Any = importlib.import_module("emx_onnx_cgen.errors")
    backend: Any = importlib.import_module("emx_onnx_cgen.onnx_backend")

    def prepare(case: Case) -> Model:
        try:
            prepared = backend.prepare(case.proto)
        except errors.UnsupportedOpError as error:
            raise RefusedError(error) from None

        def run(inputs: Sequence[Any]) -> Sequence[Any]:
            try:
                results: Sequence[Any] = prepared.run(inputs)
            except errors.UnsupportedOpError as error:  # it compiles when it sees the inputs
                raise RefusedError(error) from None
            return results

        return run

    return prepare


PEERS: dict[str, Callable[[], Prepare]] = {"onnxruntime": _onnxruntime, "reference": _reference, EMX: _emx}
