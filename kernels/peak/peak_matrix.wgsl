// Products of fragments in registers, as fast as matrix units can be: [M, K] x [K, N] of `Component` summed in `Sum`. Two
// left and four right fragments give eight independent sums a subgroup, so that none waits for the one before; an iteration
// is 4 x 8 products. The sums are looked at once, at the end, and stored only if they are what they never are, so that no
// compiler drops the work. out[0] is how many threads a subgroup has: only that tells how many of them a workgroup was.
// Constants: Component, Sum; M, N, K of the unit; LANES, the threads of the largest subgroup.
struct Params {
  iterations: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

var<workgroup> left: array<Component, 2u * M * K>;
var<workgroup> right: array<Component, 4u * K * N>;
// Of all subgroups: they store the same values to the same place.
var<workgroup> sums: array<Sum, 8u * M * N>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_size) size: u32,
) {
  for (var i = lane; i < 2u * M * K; i += LANES) { left[i] = Component(f32(i % 7u) * 0.0625 - 0.125); }
  for (var i = lane; i < 4u * K * N; i += LANES) { right[i] = Component(f32(i % 5u) * 0.0625 - 0.125); }
  workgroupBarrier();
  let a0 = subgroupMatrixLoad<subgroup_matrix_left<Component, K, M>, row_major>(&left, 0u, K);
  let a1 = subgroupMatrixLoad<subgroup_matrix_left<Component, K, M>, row_major>(&left, M * K, K);
  let b0 = subgroupMatrixLoad<subgroup_matrix_right<Component, N, K>, row_major>(&right, 0u, N);
  let b1 = subgroupMatrixLoad<subgroup_matrix_right<Component, N, K>, row_major>(&right, K * N, N);
  let b2 = subgroupMatrixLoad<subgroup_matrix_right<Component, N, K>, row_major>(&right, 2u * K * N, N);
  let b3 = subgroupMatrixLoad<subgroup_matrix_right<Component, N, K>, row_major>(&right, 3u * K * N, N);
  var c00: subgroup_matrix_result<Sum, N, M>;
  var c01: subgroup_matrix_result<Sum, N, M>;
  var c02: subgroup_matrix_result<Sum, N, M>;
  var c03: subgroup_matrix_result<Sum, N, M>;
  var c10: subgroup_matrix_result<Sum, N, M>;
  var c11: subgroup_matrix_result<Sum, N, M>;
  var c12: subgroup_matrix_result<Sum, N, M>;
  var c13: subgroup_matrix_result<Sum, N, M>;
  for (var i = 0u; i < params.iterations; i++) {
    for (var j = 0u; j < 4u; j++) {
      c00 = subgroupMatrixMultiplyAccumulate(a0, b0, c00);
      c01 = subgroupMatrixMultiplyAccumulate(a0, b1, c01);
      c02 = subgroupMatrixMultiplyAccumulate(a0, b2, c02);
      c03 = subgroupMatrixMultiplyAccumulate(a0, b3, c03);
      c10 = subgroupMatrixMultiplyAccumulate(a1, b0, c10);
      c11 = subgroupMatrixMultiplyAccumulate(a1, b1, c11);
      c12 = subgroupMatrixMultiplyAccumulate(a1, b2, c12);
      c13 = subgroupMatrixMultiplyAccumulate(a1, b3, c13);
    }
  }
  subgroupMatrixStore<row_major>(&sums, 0u, c00, N);
  subgroupMatrixStore<row_major>(&sums, M * N, c01, N);
  subgroupMatrixStore<row_major>(&sums, 2u * M * N, c02, N);
  subgroupMatrixStore<row_major>(&sums, 3u * M * N, c03, N);
  subgroupMatrixStore<row_major>(&sums, 4u * M * N, c10, N);
  subgroupMatrixStore<row_major>(&sums, 5u * M * N, c11, N);
  subgroupMatrixStore<row_major>(&sums, 6u * M * N, c12, N);
  subgroupMatrixStore<row_major>(&sums, 7u * M * N, c13, N);
  workgroupBarrier();
  var never = false;
  for (var i = lane; i < 8u * M * N; i += LANES) { never = never || sums[i] == Sum(-12345.0); }
  if (never) { out[1] = 1u; }
  if (group.x == 0u && lane == 0u) { out[0] = size; }
}
