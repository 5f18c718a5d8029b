"""Shaders that show what a GPU can do at most: multiply-adds, and a copy of memory, here and in a page.

They bind `source` (read) and `target_` (read and write), each of SOURCE_BYTES, and take a uniform word:
rounds of multiply-adds, or vectors to copy. In a round each invocation does OPERATIONS multiplications and
additions.
"""

from __future__ import annotations

UNTIMED = "this device has no timestamp queries: its steps cannot be timed apart"
GPU_KIND = "the GPU's multiply-adds"

CHAINS = 8
GROUP = 64  # invocations of a workgroup
ROUNDS = 256  # enough that loading and storing do not count
GROUPS = (8, 65535)  # workgroups: at first, and at most; twice as many until they take long enough
OPERATIONS = CHAINS * 4 * 2
SOURCE_BYTES = 32 << 20
COPIES = (16 << 10, 256 << 10, 4 << 20, 64 << 20)  # bytes read and written
VECTOR = 16  # bytes that an invocation copies
ENOUGH, TOO_LONG = 2e-3, 20e-3  # seconds: multiply-adds take the first, copies grow up to the second

_BINDINGS = """
@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> target_: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> count: vec4<u32>;
"""


def multiply_adds() -> str:
    """WGSL: rounds of independent chains a = a * x + 1, from values that only memory knows."""
    chains = range(CHAINS)
    begin = "\n".join(f"  var a{i} = source[i] + vec4<f32>({i}.0);" for i in chains)
    rounds = "\n".join(f"    a{i} = fma(a{i}, x, one);" for i in chains)
    total = " + ".join(f"a{i}" for i in chains)
    return f"""{_BINDINGS}
@compute @workgroup_size({GROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
  let i = id.x;
  let x = source[i + 1u] * 0.5 + vec4<f32>(0.25);
  let one = vec4<f32>(1.0);
{begin}
  for (var n = 0u; n < count.x; n++) {{
{rounds}
  }}
  target_[i] = {total};
}}
"""


def copy() -> str:
    """WGSL: a vector an invocation."""
    return f"""{_BINDINGS}
@compute @workgroup_size({GROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
  if (id.x < count.x) {{
    target_[id.x] = source[id.x];
  }}
}}
"""
