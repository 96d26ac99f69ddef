// C[batch, m, n] = A[batch, m, k] B[batch, k, n] with any strides, for hardware adapters: 64 x 64 tiles of C, K in steps
// of 16 staged through workgroup memory, an 8 x 4 block of C a thread in registers.
// In front: AElement, BElement and OutElement, the types in memory; sums are in f32.
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

const TILE = 64u;
const STEP = 16u;
var<workgroup> aTile: array<array<f32, TILE>, STEP>;
var<workgroup> bTile: array<array<f32, TILE>, STEP>;

@compute @workgroup_size(16, 8)
fn main(
  @builtin(workgroup_id) own: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let rowStart = group.y * TILE;
  let columnStart = group.x * TILE;
  let batch = group.z;
  let aBase = params.aOffset + (batch / params.batchInner) * params.aBatchOuter + (batch % params.batchInner) * params.aBatchInner;
  let bBase = params.bOffset + (batch / params.batchInner) * params.bBatchOuter + (batch % params.batchInner) * params.bBatchInner;
  var c: array<vec4<f32>, 8>;
  for (var k0 = 0u; k0 < params.k; k0 += STEP) {
    for (var i = lane; i < TILE * STEP; i += 128u) {
      // Neighbouring lanes follow the operand's contiguous axis, whichever it is.
      var r = i / STEP;
      var k = i % STEP;
      if (params.aRow == 1u) {
        r = i % TILE;
        k = i / TILE;
      }
      var value = 0.0;
      if (rowStart + r < params.m && k0 + k < params.k) {
        value = f32(a[aBase + (rowStart + r) * params.aRow + (k0 + k) * params.aColumn]);
      }
      aTile[k][r] = value;
      var s = i % TILE;
      k = i / TILE;
      if (params.bRow == 1u) {
        s = i / STEP;
        k = i % STEP;
      }
      value = 0.0;
      if (columnStart + s < params.n && k0 + k < params.k) {
        value = f32(b[bBase + (k0 + k) * params.bRow + (columnStart + s) * params.bColumn]);
      }
      bTile[k][s] = value;
    }
    workgroupBarrier();
    for (var k = 0u; k < STEP; k++) {
      let x = local.x * 4u;
      let bk = vec4<f32>(bTile[k][x], bTile[k][x + 1u], bTile[k][x + 2u], bTile[k][x + 3u]);
      for (var r = 0u; r < 8u; r++) { c[r] += aTile[k][local.y * 8u + r] * bk; }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < 8u; r++) {
    let row = rowStart + local.y * 8u + r;
    let column = columnStart + local.x * 4u;
    if (row < params.m && column < params.n) {
      let base = (batch * params.m + row) * params.n + column;
      prepare(base);
      for (var j = 0u; j < 4u; j++) {
        if (column + j < params.n) { emit(base + j, c[r][j]); }
      }
    }
  }
}
