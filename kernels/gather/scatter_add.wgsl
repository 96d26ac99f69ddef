// The transpose of gather.wgsl: adds along the middle axis by index, into zeros.
//   PER_ELEMENT false: out[outer, v, inner] = sum over j with index[j] = v of source[outer, j, inner]
//   PER_ELEMENT true:  the same with index[outer, j, inner]
// Each output scans the index list and adds what matches in order: no atomics, so the sum is the same every time.
// In front: Scalar, the type that sums are made in, Element, the type in memory, PER_ELEMENT.
struct Params {
  outer: u32,
  extent: u32,
  inner: u32,
  count: u32,
  sourceOffset: u32,
  indexOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Element>;
@group(0) @binding(2) var<storage, read> index: array<i32>;
@group(0) @binding(3) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.outer * params.extent * params.inner) { return; }
  let inner = i % params.inner;
  let v = i32((i / params.inner) % params.extent);
  let outer = i / (params.inner * params.extent);
  var sum = Scalar();
  for (var j = 0u; j < params.count; j++) {
    let at = (outer * params.count + j) * params.inner + inner;
    if (index[params.indexOffset + select(j, at, PER_ELEMENT)] == v) { sum += Scalar(source[params.sourceOffset + at]); }
  }
  out[i] = Element(sum);
}
