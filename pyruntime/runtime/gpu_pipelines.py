"""Pipelines of the shaders of a pack's variant, through wgpu-py."""

from __future__ import annotations

from typing import Any

from pyruntime.errors import PackError
from pyruntime.pack.targets import Dispatch, GpuVariant, Shader
from pyruntime.runtime.gpu_device import Device, shader_text


class Pipelines:
    """Makes the pipeline of a shader when a run first needs it, and keeps it.

    Args:
        gpu: the device.
        variant: what of the pack the device can run.
        code: the bytes of its file.
    """

    def __init__(self, gpu: Device, variant: GpuVariant, code: bytes) -> None:
        self._gpu, self._variant, self._code = gpu, variant, code
        self._made: dict[int, tuple[Any, Any]] = {}

    def prepare(self, entry: int) -> None:
        """Make those that every run needs: of steps with a single form, where sizes choose none."""
        forms: dict[str, list[int]] = {}
        for command in self._variant.entries[entry].commands:
            if isinstance(command, Dispatch):
                forms.setdefault(command.step, []).append(command.shader)
        for number in sorted({shaders[0] for shaders in forms.values() if len(shaders) == 1}):
            self.get(number)

    def extend(self, variant: GpuVariant, code: bytes) -> None:
        """Go on with `variant`, which has more shaders behind the present ones; what is made stays."""
        self._variant, self._code = variant, code

    def get(self, number: int) -> tuple[Any, Any]:
        """The pipeline of a shader, and the layout of its bindings.

        Raises:
            PackError: the shader is not UTF-8.
            RunError: the device refuses it.
        """
        if number not in self._made:
            shader = self._variant.shaders[number]
            with self._gpu.guarded(f"shader {shader.name!r}"):
                self._made[number] = self._make(shader)
        return self._made[number]

    def clear(self) -> None:
        """Forget all."""
        self._made.clear()

    def _make(self, shader: Shader) -> tuple[Any, Any]:
        import wgpu

        device = self._gpu.handle
        try:
            code = shader_text(
                self._code[shader.offset : shader.offset + shader.bytes].decode(), self._gpu.features
            )
        except UnicodeDecodeError as error:
            raise PackError(f"{self._variant.file}: shader {shader.name!r}: {error}") from None
        kinds = ["read-only-storage" if a == "read" else "storage" for a in shader.bindings]
        layout = device.create_bind_group_layout(
            entries=[
                {"binding": i, "visibility": wgpu.ShaderStage.COMPUTE, "buffer": {"type": kind}}
                for i, kind in enumerate([*kinds, "uniform"])
            ]
        )
        pipeline = device.create_compute_pipeline(
            label=shader.name,
            layout=device.create_pipeline_layout(bind_group_layouts=[layout]),
            compute={
                "module": device.create_shader_module(label=shader.name, code=code),
                "entry_point": "main",
            },
        )
        return pipeline, layout
