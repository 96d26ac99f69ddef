// Counts one step: value[offset] += 1. A constant says what is counted in: alias Element = f32; or i32.
struct Params {
  offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> value: array<Element>;

@compute @workgroup_size(1)
fn main() {
  value[params.offset] += Element(1);
}
