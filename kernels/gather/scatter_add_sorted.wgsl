// The same sums as scatter_add.wgsl, in the same order, for long index lists: the list has been sorted, stably, so that the
// elements that an output adds up are neighbours and a binary search finds the first of them.
// keys and order: [rows, count], the sorted indices (as keys, see sort_blocks.wgsl) and where each stood; a row for each
// (outer, inner) where PER_ELEMENT, else one.
// In front: Scalar, Element, PER_ELEMENT as for scatter_add.
struct Params {
  outer: u32,
  extent: u32,
  inner: u32,
  count: u32,
  sourceOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Element>;
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@group(0) @binding(3) var<storage, read> order: array<i32>;
@group(0) @binding(4) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.outer * params.extent * params.inner) { return; }
  let inner = i % params.inner;
  let key = ((i / params.inner) % params.extent) ^ 0x80000000u;
  let outer = i / (params.inner * params.extent);
  let row = select(0u, (outer * params.inner + inner) * params.count, PER_ELEMENT);
  var low = 0u;
  var high = params.count;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (keys[row + middle] < key) { low = middle + 1u; } else { high = middle; }
  }
  var sum = Scalar();
  for (var at = low; at < params.count && keys[row + at] == key; at++) {
    let j = u32(order[row + at]);
    sum += Scalar(source[params.sourceOffset + (outer * params.count + j) * params.inner + inner]);
  }
  out[i] = Element(sum);
}
