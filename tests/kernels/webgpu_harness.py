"""Runs kernel calls through wgpu and compares what they write with the reference executor."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Container, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyruntime_shaders.emit import kernels_for
from pyruntime_shaders.module import INFINITY_BITS, Kernel
from pyruntime_shaders.printer import STORAGE
from pyruntime_shaders.storage import FEATURE, Form

from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.symbols import evaluate
from pyruntime.ir.views import Tensor
from pyruntime.ops.interpret import allocate, run_call
from pyruntime.runtime.gpu_device import FEATURES, features_of, shader_text

Array = NDArray[Any]

_NUMPY = {"f32": np.float32, "i32": np.int32, "u32": np.uint32}
# relative to the largest magnitude of what the reference writes
TOLERANCE = {DType.F16: 2e-3, DType.F32: 2e-5}


class Gpu:
    """A wgpu device that keeps one pipeline per shader text."""

    def __init__(self) -> None:
        import wgpu

        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
        self.api = wgpu
        adapter = wgpu.gpu.request_adapter_sync()
        self.halves = FEATURE in adapter.features
        native = [n for n in FEATURES.values() if n in adapter.features]
        # the default limits: what a pack may count on
        self.device = adapter.request_device_sync(required_features=native)
        self.features = features_of(self.device)
        self._pipelines: dict[str, Any] = {}

    def pipeline(self, code: str, access: Sequence[str]) -> Any:
        """The compute pipeline of a shader, with an explicit bind group layout."""
        if code not in self._pipelines:
            kinds = ["storage" if a == "read_write" else "read-only-storage" for a in access] + ["uniform"]
            layout = self.device.create_bind_group_layout(
                entries=[
                    {"binding": i, "visibility": self.api.ShaderStage.COMPUTE, "buffer": {"type": kind}}
                    for i, kind in enumerate(kinds)
                ]
            )
            self._pipelines[code] = self.device.create_compute_pipeline(
                layout=self.device.create_pipeline_layout(bind_group_layouts=[layout]),
                compute={"module": self.device.create_shader_module(code=code), "entry_point": "main"},
            )
        return self._pipelines[code]

    def run(
        self,
        kernel: Kernel,
        memory: MutableMapping[Tensor, Array],
        symbols: Mapping[str, int],
        forms: Mapping[Tensor, Form] | None = None,
        features: Container[str] | None = None,
    ) -> None:
        """Dispatch a kernel; memory holds each tensor's elements, and the written one changes.

        Tensors that are not words by `forms` are float16, or 8-bit integers, on the device. `features` are
        those that shaders use where they can, by default all that there are.
        """
        forms = forms or {}
        kernel = kernel.over(forms)
        groups = [evaluate(g, symbols) for g in kernel.workgroups]
        assert all(0 <= g <= 65535 for g in groups), groups
        if 0 in groups:
            return
        usage = self.api.BufferUsage.STORAGE | self.api.BufferUsage.COPY_SRC
        code = shader_text(kernel.render(), self.features if features is None else features)
        pipeline = self.pipeline(code, kernel.access)
        words = np.array([INFINITY_BITS, *(evaluate(w, symbols) for w in kernel.words)], np.int64)
        assert (words >= -(2**31)).all(), words
        assert (words < 2**31).all(), words
        buffers = [
            self.device.create_buffer_with_data(data=in_words(memory[t], held_as(t, forms)), usage=usage)
            for t in kernel.tensors
        ]
        buffers.append(
            self.device.create_buffer_with_data(
                data=words.astype(np.int32), usage=self.api.BufferUsage.UNIFORM
            )
        )
        group = self.device.create_bind_group(
            layout=pipeline.get_bind_group_layout(0),
            entries=[
                {"binding": i, "resource": {"buffer": b, "offset": 0, "size": b.size}}
                for i, b in enumerate(buffers)
            ],
        )
        encoder = self.device.create_command_encoder()
        compute = encoder.begin_compute_pass()
        compute.set_pipeline(pipeline)
        compute.set_bind_group(0, group)
        compute.dispatch_workgroups(*groups)
        compute.end()
        self.device.queue.submit([encoder.finish()])
        result = kernel.tensors[-1]
        written = np.frombuffer(self.device.queue.read_buffer(buffers[-2]), held_as(result, forms))
        memory[result] = written[: memory[result].size].astype(result.dtype.value)


def held_as(tensor: Tensor, forms: Mapping[Tensor, Form]) -> type[np.generic]:
    if forms.get(tensor, "words") != "words":
        return np.float16 if tensor.dtype.is_float else np.dtype(tensor.dtype.value).type
    return np.dtype(tensor.dtype.value).type if tensor.pairs else _NUMPY[STORAGE[tensor.dtype]]


def in_words(array: Array, stored: type[np.generic]) -> Array:
    """Elements as the device holds them, in whole words and as many as the least binding needs."""
    elements = array.astype(stored)
    padded = np.zeros(-(-max(elements.nbytes, 16) // 4) * 4 // elements.itemsize, stored)
    padded[: elements.size] = elements
    return padded


@functools.cache
def gpu() -> Gpu:
    """The device of this process; mark tests with `webgpu`, so that its absence is a skip."""
    return Gpu()


def results(
    calls: Sequence[KernelCall],
    inputs: Mapping[Tensor, Array],
    symbols: Mapping[str, int] | None = None,
    forms: Mapping[Tensor, Form] | None = None,
    features: Container[str] | None = None,
) -> list[tuple[Array, Array]]:
    """Run the calls in order on the GPU and by reference.

    Args:
        calls: what to run.
        inputs: elements of the tensors that nothing writes and that carry no data.
        symbols: the symbols' values.
        forms: how tensors lie on the GPU, where not as words.
        features: that shaders use where they can, by default all that there are.

    Returns:
        For each call what the GPU wrote, and what the reference wrote.
    """
    symbols, found = symbols or {}, []
    expected = {t: a.ravel().copy() for t, a in inputs.items()}
    for call in calls:
        for tensor in call.tensors():
            expected.setdefault(tensor, allocate(tensor, symbols))
    actual = {t: a.copy() for t, a in expected.items()}
    for call in calls:
        run_call(call, expected, symbols)
        for kernel in kernels_for(call):
            gpu().run(kernel, actual, symbols, forms, features)
        found.append((actual[call.output.tensor].copy(), expected[call.output.tensor].copy()))
    return found


def check(
    calls: Sequence[KernelCall],
    inputs: Mapping[Tensor, Array],
    symbols: Mapping[str, int] | None = None,
    tolerance: float | None = None,
    features: Container[str] | None = None,
) -> None:
    """Run the calls as `results` does and compare everything that they write.

    `tolerance` is relative to the largest magnitude; by default by dtype, integers exactly.

    Raises:
        AssertionError: naming the call whose result differs.
    """
    for call, (actual, expected) in zip(
        calls, results(calls, inputs, symbols, features=features), strict=True
    ):
        compare(call, actual, expected, tolerance)


def compare(call: KernelCall, actual: Array, expected: Array, tolerance: float | None = None) -> None:
    """Equal integers; floats within the tolerance, NaN and infinities in the same places."""
    dtype = call.output.tensor.dtype
    if not dtype.is_float:
        np.testing.assert_array_equal(actual, expected, err_msg=call.name)
        return
    finite = np.abs(expected[np.isfinite(expected)].astype(np.float64))
    scale = max(float(finite.max(initial=0.0)), 1e-6)
    limit = (TOLERANCE[dtype] if tolerance is None else tolerance) * scale
    np.testing.assert_allclose(
        actual.astype(np.float64), expected.astype(np.float64), rtol=0, atol=limit, err_msg=call.name
    )
