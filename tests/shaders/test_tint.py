"""Chrome's WGSL compiler accepts the shaders of all kernel cases and functions without a warning."""

from __future__ import annotations

import pytest
from pyruntime_shaders.division import alternatives
from pyruntime_shaders.emit import kernels_for
from pyruntime_shaders.module import Kernel

from pyruntime.errors import UnsupportedError
from pyruntime.pack.sections import features_of, resolve
from tests.kernels import test_split_attention
from tests.kernels.test_alternatives import cases
from tests.kernels.test_webgpu import all_cases
from tests.shaders.test_functions import function_calls
from tests.shaders.tint import compile_in_chromium

FEATURES = frozenset({"packed_4x8_integer_dot_product", "subgroups"})  # Chromium's, with SwiftShader too


def _kernels() -> dict[object, Kernel]:
    found: dict[object, Kernel] = {}
    calls = [case.call for case in all_cases() if not case.wasm_only] + list(function_calls())
    calls += [part for case in test_split_attention.cases() for part in test_split_attention.parts_of(case)]
    for call in calls:
        try:
            kernels = kernels_for(call)
        except UnsupportedError:
            continue
        for kernel in kernels:
            found.setdefault(kernel.key, kernel)
    return found


@pytest.mark.browser
def test_kernels_compile() -> None:
    shaders = []
    for i, kernel in enumerate(_kernels().values()):
        code = kernel.render()
        shaders.append((f"{kernel.template}_{i}", resolve(code, FEATURES)))
        if features_of(code):
            shaders.append((f"{kernel.template}_{i}_base", resolve(code, ())))
    first = {name.partition("_")[0]: name for name, _ in reversed(shaders)}
    assert compile_in_chromium(shaders, set(first.values()).__contains__) == []


@pytest.mark.browser
def test_kernels_compile_where_they_read_what_they_write() -> None:
    """What is loaded from a buffer that may be written is not uniform: no barrier may hang on it."""
    found = [kernel.over({}, kernel.tensors) for kernel in _kernels().values()]
    shaders = [(f"{k.template}_{i}", resolve(k.render(), FEATURES)) for i, k in enumerate(found)]
    assert all("<storage, read>" not in code for _, code in shaders)
    assert compile_in_chromium(shaders, lambda _: False) == []


@pytest.mark.browser
def test_alternatives_compile() -> None:
    found = {k.key: k for _, case in cases() for others in alternatives(case.call) for k in others}
    shaders = [(f"{k.template}_{i}", resolve(k.render(), FEATURES)) for i, k in enumerate(found.values())]
    assert len(shaders) > 20
    first = {name.partition("_")[0]: name for name, _ in reversed(shaders)}
    assert compile_in_chromium(shaders, set(first.values()).__contains__) == []


@pytest.mark.browser
def test_messages_name_the_shader() -> None:
    (message,) = compile_in_chromium([("broken", "fn main() -> i32 { return 1.0f; }")])
    assert message.startswith("broken:1:")
    assert "error" in message
