// map.wgsl, four neighbours a thread, whose coordinates are one another's but for the last: the size is a multiple of four, the
// last extent too where an input is STRIDED, and offsets of FLAT inputs. Out and FLAT inputs are read and written at once.
// map_places.wgsl stands in front.
// In front: what map.wgsl has; AElement, BElement and CElement, the types in memory: vec4<A> of a FLAT input, A of others.
@group(0) @binding(1) var<storage, read> a: array<AElement>;
@group(0) @binding(2) var<storage, read> b: array<BElement>;
@group(0) @binding(3) var<storage, read> c: array<CElement>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<Result>>;

const LAST = max(RANK, 1u) - 1u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let four = id.x + id.y * groups.x * 64u;
  let i = four * 4u;
  if (i >= params.size) { return; }
  let places = placesOf(i);
  let ia = places.x;
  let ib = places.y;
  let ic = places.z;
  var va = vec4<A>();
  var vb = vec4<B>();
  var vc = vec4<C>();
  if (READ_A == FLAT) { va = vec4(a[ia / 4u + four]); }
  if (INPUTS > 1u && READ_B == FLAT) { vb = vec4(b[ib / 4u + four]); }
  if (INPUTS > 2u && READ_C == FLAT) { vc = vec4(c[ic / 4u + four]); }
  if (READ_A == SINGLE) { va = vec4(a[ia]); }
  if (INPUTS > 1u && READ_B == SINGLE) { vb = vec4(b[ib]); }
  if (INPUTS > 2u && READ_C == SINGLE) { vc = vec4(c[ic]); }
  for (var e = 0u; e < 4u; e++) { // unroll
    if (READ_A == STRIDED) { va[e] = vec4(a[ia + e * params.aStrides[LAST / 4u][LAST % 4u]]).x; }
    if (INPUTS > 1u && READ_B == STRIDED) { vb[e] = vec4(b[ib + e * params.bStrides[LAST / 4u][LAST % 4u]]).x; }
    if (INPUTS > 2u && READ_C == STRIDED) { vc[e] = vec4(c[ic + e * params.cStrides[LAST / 4u][LAST % 4u]]).x; }
  }
  out[four] = vec4<Result>(
    compute(va.x, vb.x, vc.x),
    compute(va.y, vb.y, vc.y),
    compute(va.z, vb.z, vc.z),
    compute(va.w, vb.w, vc.w),
  );
}
