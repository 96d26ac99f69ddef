// out[i] = compute(a[i], b[i], c[i]) over a shape of up to eight dimensions, each input read through its own strides
// (0 where it is broadcast). The output is contiguous.
// In front: INPUTS (1 to 3); RANK, of the shape; READ_A, READ_B and READ_C, one of the three below; the element types A, B, C and
// Result, and
//   fn compute(a: A, b: B, c: C) -> Result
// By the input's strides, through the output's coordinates.
const STRIDED = 0u;
// Where the output is written: no index arithmetic.
const FLAT = 1u;
// One element for all.
const SINGLE = 2u;

struct Params {
  size: u32,
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
  var ia = params.aOffset + select(0u, i, READ_A == FLAT);
  var ib = params.bOffset + select(0u, i, READ_B == FLAT);
  var ic = params.cOffset + select(0u, i, READ_C == FLAT);
  if (READ_A == STRIDED || READ_B == STRIDED || READ_C == STRIDED) {
    var rest = i;
    for (var k = 1u; k < RANK; k++) { // unroll
      const d = RANK - k;
      let extent = params.shape[d / 4u][d % 4u];
      let coordinate = rest % extent;
      rest /= extent;
      if (READ_A == STRIDED) { ia += coordinate * params.aStrides[d / 4u][d % 4u]; }
      if (READ_B == STRIDED) { ib += coordinate * params.bStrides[d / 4u][d % 4u]; }
      if (READ_C == STRIDED) { ic += coordinate * params.cStrides[d / 4u][d % 4u]; }
    }
    // Along the first axis the rest is the coordinate.
    if (READ_A == STRIDED) { ia += rest * params.aStrides[0].x; }
    if (READ_B == STRIDED) { ib += rest * params.bStrides[0].x; }
    if (READ_C == STRIDED) { ic += rest * params.cStrides[0].x; }
  }
  if (INPUTS == 1u) { out[i] = compute(a[ia], B(), C()); }
  if (INPUTS == 2u) { out[i] = compute(a[ia], b[ib], C()); }
  if (INPUTS == 3u) { out[i] = compute(a[ia], b[ib], c[ic]); }
}
