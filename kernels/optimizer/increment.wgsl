// Counts one step: value[offset] += 1.
struct Params {
  offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> value: array<f32>;

@compute @workgroup_size(1)
fn main() {
  value[params.offset] += 1.0;
}
