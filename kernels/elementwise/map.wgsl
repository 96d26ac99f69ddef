// out[i] = compute(a[i], b[i], c[i]) over a shape of up to eight dimensions, each input read through its own strides
// (0 where it is broadcast). The output is contiguous. map_places.wgsl stands in front.
// In front of that: INPUTS (1 to 3); the element types A, B, C and Result, and
//   fn compute(a: A, b: B, c: C) -> Result
@group(0) @binding(1) var<storage, read> a: array<A>;
@group(0) @binding(2) var<storage, read> b: array<B>;
@group(0) @binding(3) var<storage, read> c: array<C>;
@group(0) @binding(4) var<storage, read_write> out: array<Result>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.size) { return; }
  let places = placesOf(i);
  let ia = places.x + select(0u, i, READ_A == FLAT);
  let ib = places.y + select(0u, i, READ_B == FLAT);
  let ic = places.z + select(0u, i, READ_C == FLAT);
  if (INPUTS == 1u) { out[i] = compute(a[ia], B(), C()); }
  if (INPUTS == 2u) { out[i] = compute(a[ia], b[ib], C()); }
  if (INPUTS == 3u) { out[i] = compute(a[ia], b[ib], c[ic]); }
}
