// C[batch, m, n] = A[batch, m, k] B[batch, k, n] with any strides, for adapters that run shaders on the CPU and have subgroups
// (lib/broadcast_product.wgsl, which stands in front).
// Parameters and operands: matmul_operands.wgsl, which stands in front. Sums are in f32.
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
