// out[i] = compute(a[i], b[i], c[i]) over a shape of up to eight dimensions, each input read through its own strides
// (0 where it is broadcast). The output is contiguous.
// In front: INPUTS (1 to 3), CONTIGUOUS (no index arithmetic), the element types A, B, C and Result, and
//   fn compute(a: A, b: B, c: C) -> Result
struct Params {
  size: u32,
  rank: u32,
  aOffset: u32,
  bOffset: u32,
  cOffset: u32,
  shape: array<vec4<u32>, 2>,
  aStrides: array<vec4<u32>, 2>,
  bStrides: array<vec4<u32>, 2>,
  cStrides: array<vec4<u32>, 2>,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<A>;
@group(0) @binding(2) var<storage, read> b: array<B>;
@group(0) @binding(3) var<storage, read> c: array<C>;
@group(0) @binding(4) var<storage, read_write> out: array<Result>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.size) { return; }
  var ia = params.aOffset;
  var ib = params.bOffset;
  var ic = params.cOffset;
  if (CONTIGUOUS) {
    ia += i;
    ib += i;
    ic += i;
  } else {
    var rest = i;
    for (var d = params.rank; d > 0u; d--) {
      let at = d - 1u;
      let extent = params.shape[at / 4u][at % 4u];
      let coordinate = rest % extent;
      rest /= extent;
      ia += coordinate * params.aStrides[at / 4u][at % 4u];
      if (INPUTS > 1u) { ib += coordinate * params.bStrides[at / 4u][at % 4u]; }
      if (INPUTS > 2u) { ic += coordinate * params.cStrides[at / 4u][at % 4u]; }
    }
  }
  if (INPUTS == 1u) { out[i] = compute(a[ia], B(), C()); }
  if (INPUTS == 2u) { out[i] = compute(a[ia], b[ib], C()); }
  if (INPUTS == 3u) { out[i] = compute(a[ia], b[ib], c[ic]); }
}
