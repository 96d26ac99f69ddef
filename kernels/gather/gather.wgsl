// Reads along the middle axis of [outer, extent, inner] by index.
//   PER_ELEMENT false: out[outer, j, inner] = x[outer, index[j], inner]                 (index select)
//   PER_ELEMENT true:  out[outer, j, inner] = x[outer, index[outer, j, inner], inner]   (gather)
// An index outside 0..extent-1 cannot be reported from here: it reads as NaN (or the largest integer).
// In front: Element, fn fromBits(bits: u32) -> Element, PER_ELEMENT.
struct Params {
  outer: u32,
  extent: u32,
  inner: u32,
  count: u32,
  xOffset: u32,
  indexOffset: u32,
  outsideBits: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> index: array<i32>;
@group(0) @binding(3) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.outer * params.count * params.inner) { return; }
  let inner = i % params.inner;
  let j = (i / params.inner) % params.count;
  let outer = i / (params.inner * params.count);
  let at = index[params.indexOffset + select(j, i, PER_ELEMENT)];
  if (at < 0 || u32(at) >= params.extent) {
    out[i] = fromBits(params.outsideBits);
    return;
  }
  out[i] = x[params.xOffset + (outer * params.extent + u32(at)) * params.inner + inner];
}
