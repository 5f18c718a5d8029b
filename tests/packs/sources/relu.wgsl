@group(0) @binding(0) var<storage, read_write> y: array<f32>;
struct Words { infinity: i32, size: i32 }
@group(0) @binding(1) var<uniform> words: Words;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (i32(id.x) < words.size) { y[id.x] = max(y[id.x], 0.0); }
}
