@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
struct Words { infinity: i32, batch: i32 }
@group(0) @binding(4) var<uniform> words: Words;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let at = i32(id.x);
  if (at >= words.batch * 3) { return; }
  let row = at / 3;
  let column = at % 3;
  var sum = bias[column];
  for (var i = 0; i < 4; i++) { sum += x[row * 4 + i] * weight[i * 3 + column]; }
  y[at] = sum;
}
