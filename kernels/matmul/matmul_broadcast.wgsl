// C[batch, m, n] = A[batch, m, k] B[batch, k, n] with any strides, for adapters that run shaders on the CPU and have subgroups:
// a subgroup works alone, without barriers. Each of its threads makes 8 rows of 32 columns. A load costs such an adapter as
// much as twenty multiplications; so the threads load different columns and hand them round by subgroupBroadcast, and 8 x 32
// products cost 12 loads with subgroups of 8, where those of 8 x 8 take 16.
// In front: SUBGROUP, the size of every subgroup, 4 to 32; AElement, BElement and OutElement, the types in memory; sums are in
// f32.
struct Params {
  m: u32,
  n: u32,
  k: u32,
  batchInner: u32,
  aOffset: u32,
  bOffset: u32,
  aRow: u32,
  aColumn: u32,
  bRow: u32,
  bColumn: u32,
  aBatchOuter: u32,
  aBatchInner: u32,
  bBatchOuter: u32,
  bBatchInner: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AElement>;
@group(0) @binding(2) var<storage, read> b: array<BElement>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

const COLUMNS = 32u;
const FOURS = COLUMNS / 4u;
// Columns that a thread loads.
const LOADS = COLUMNS / SUBGROUP;

// What a thread made, on its way out: only there can a loop choose among sums without their leaving the registers before.
var<workgroup> made: array<vec4<f32>, SUBGROUP * 8u * FOURS>;

fn outer(a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(a * b.x, a * b.y, a * b.z, a * b.w);
}

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let row = group.y * 8u * SUBGROUP + lane;
  let column = group.x * COLUMNS;
  let batch = group.z;
  let outerBatch = batch / params.batchInner;
  let innerBatch = batch % params.batchInner;
  let aBase = params.aOffset + outerBatch * params.aBatchOuter + innerBatch * params.aBatchInner;
  let bBase = params.bOffset + outerBatch * params.bBatchOuter + innerBatch * params.bBatchInner;
  // Rows and columns past the edge read the last one and are not stored.
  let lastRow = vec4<u32>(params.m - 1u);
  let steps = vec4<u32>(0u, 1u, 2u, 3u) * SUBGROUP;
  var top = aBase + min(row + steps, lastRow) * params.aRow;
  var bottom = aBase + min(row + 4u * SUBGROUP + steps, lastRow) * params.aRow;
  var at = array<u32, LOADS>();
  for (var i = 0u; i < LOADS; i++) { // unroll
    at[i] = bBase + min(column + i * SUBGROUP + lane, params.n - 1u) * params.bColumn;
  }
  // The products of four columns with the upper and the lower four rows.
  var u = array<mat4x4<f32>, FOURS>();
  var l = array<mat4x4<f32>, FOURS>();
  for (var k = 0u; k < params.k; k++) {
    var loaded = array<f32, LOADS>();
    for (var i = 0u; i < LOADS; i++) { // unroll
      loaded[i] = f32(b[at[i]]);
      at[i] += params.bRow;
    }
    let upper = vec4<f32>(f32(a[top.x]), f32(a[top.y]), f32(a[top.z]), f32(a[top.w]));
    let lower = vec4<f32>(f32(a[bottom.x]), f32(a[bottom.y]), f32(a[bottom.z]), f32(a[bottom.w]));
    top += params.aColumn;
    bottom += params.aColumn;
    for (var q = 0u; q < FOURS; q++) { // unroll
      let e = vec4<f32>(
        subgroupBroadcast(loaded[4u * q / SUBGROUP], 4u * q % SUBGROUP),
        subgroupBroadcast(loaded[4u * q / SUBGROUP], 4u * q % SUBGROUP + 1u),
        subgroupBroadcast(loaded[4u * q / SUBGROUP], 4u * q % SUBGROUP + 2u),
        subgroupBroadcast(loaded[4u * q / SUBGROUP], 4u * q % SUBGROUP + 3u),
      );
      u[q] += outer(upper, e);
      l[q] += outer(lower, e);
    }
  }
  let mine = lane * 8u * FOURS;
  for (var q = 0u; q < FOURS; q++) { // unroll
    let upper = transpose(u[q]);
    let lower = transpose(l[q]);
    for (var r = 0u; r < 4u; r++) { // unroll
      made[mine + r * FOURS + q] = upper[r];
      made[mine + (4u + r) * FOURS + q] = lower[r];
    }
  }
  for (var i = 0u; i < 8u; i++) {
    let ownRow = row + i * SUBGROUP;
    if (ownRow >= params.m) { break; }
    for (var q = 0u; q < FOURS; q++) {
      let first = column + 4u * q;
      if (first >= params.n) { break; }
      let place = (batch * params.m + ownRow) * params.n + first;
      prepare(place);
      for (var j = 0u; j < min(4u, params.n - first); j++) { emit(place + j, made[mine + i * FOURS + q][j]); }
    }
  }
}
