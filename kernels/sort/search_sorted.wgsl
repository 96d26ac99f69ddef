// How many elements of a sorted row are below each value (with RIGHT: not above it): where it would be put in.
// rows: sorted is [rows, length], values are [rows, count]; one row of sorted serves all where params.single is 1.
// In front: Element, RIGHT, and fn keyOf(x: Element) -> u32, which puts NaN behind everything.
struct Params {
  rows: u32,
  length: u32,
  count: u32,
  single: u32,
  sortedOffset: u32,
  valuesOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sorted: array<Element>;
@group(0) @binding(2) var<storage, read> values: array<Element>;
@group(0) @binding(3) var<storage, read_write> out: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.rows * params.count) { return; }
  let start = params.sortedOffset + select(i / params.count * params.length, 0u, params.single == 1u);
  let value = keyOf(values[params.valuesOffset + i]);
  var low = 0u;
  var high = params.length;
  while (low < high) {
    let middle = (low + high) / 2u;
    let key = keyOf(sorted[start + middle]);
    if (key < value || (RIGHT && key == value)) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  out[i] = i32(low);
}
