@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> weight: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
struct Words { infinity: i32, pairs: i32 }
@group(0) @binding(3) var<uniform> words: Words;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (i32(id.x) < words.pairs) {
    let last = unpack2x16float(weight[1]).x;
    y[id.x] = pack2x16float(unpack2x16float(x[id.x]) * last);
  }
}
