// C[batch, m, n] = A[batch, m, k] B[batch, k, n] with any strides, for adapters that run shaders on the CPU and have subgroups
// (lib/broadcast_product.wgsl, which stands in front).
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

fn aAt(at: u32) -> f32 { return f32(a[at]); }
fn bAt(at: u32) -> f32 { return f32(b[at]); }

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
  let mine = lane * 8u * FOURS;
  let rows = Side(aBase, params.aRow, params.aColumn, params.m);
  let columns = Side(bBase, params.bColumn, params.bRow, params.n);
  // Rows and columns past the edge are not stored.
  multiply(lane, row, column, rows, columns, params.k, mine);
  let fours = foursOf(params.n - column);
  for (var i = 0u; i < 8u; i++) {
    let ownRow = row + i * SUBGROUP;
    if (ownRow >= params.m) { break; }
    for (var q = 0u; q < fours; q++) {
      let first = column + 4u * q;
      let place = (batch * params.m + ownRow) * params.n + first;
      prepare(place);
      for (var j = 0u; j < min(4u, params.n - first); j++) { emit(place + j, made[mine + i * FOURS + q][j]); }
    }
  }
}
