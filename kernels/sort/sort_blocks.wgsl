// The first pass of a merge sort of the rows of [outer, length, inner] along the middle axis: each thread sorts a block of
// BLOCK neighbours by insertion, which keeps equal elements in order.
// Elements are compared by keys: whole numbers whose order is that of the elements, with NaN behind everything and the two
// zeros alike. keys are written as [outer, inner, length]; indices, the places where elements came from, as
// [outer, inner, length] or, where this pass is the only one, as [outer, length, inner].
// In front: Element, BLOCK, LAST, and fn keyOf(x: Element) -> u32.
struct Params {
  rows: u32,
  length: u32,
  inner: u32,
  offset: u32,
  descending: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> keys: array<u32>;
@group(0) @binding(3) var<storage, read_write> indices: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  let blocks = (params.length + BLOCK - 1u) / BLOCK;
  if (i >= params.rows * blocks) { return; }
  let row = i / blocks;
  let start = (i % blocks) * BLOCK;
  let count = min(BLOCK, params.length - start);
  let base = row / params.inner * params.length * params.inner + row % params.inner;
  var ownKeys: array<u32, BLOCK>;
  var ownPlaces: array<u32, BLOCK>;
  for (var n = 0u; n < count; n++) {
    let plain = keyOf(x[params.offset + base + (start + n) * params.inner]);
    let key = select(plain, ~plain, params.descending == 1u);
    var at = n;
    while (at > 0u && ownKeys[at - 1u] > key) {
      ownKeys[at] = ownKeys[at - 1u];
      ownPlaces[at] = ownPlaces[at - 1u];
      at--;
    }
    ownKeys[at] = key;
    ownPlaces[at] = start + n;
  }
  for (var n = 0u; n < count; n++) {
    let dense = row * params.length + start + n;
    keys[dense] = ownKeys[n];
    indices[select(dense, base + (start + n) * params.inner, LAST)] = i32(ownPlaces[n]);
  }
}
