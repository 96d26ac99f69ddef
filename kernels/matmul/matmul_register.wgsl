// C[batch, m, n] = A[batch, m, k] B[batch, k, n] with any strides: a transposed operand is read in place.
// For adapters that run shaders on the CPU, and on a GPU for products too small for a tile (lib/register_product.wgsl, which
// stands in front).
// Parameters and operands: matmul_operands.wgsl, which stands in front. Sums are in f32.
@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(8u, 8u, 1u);
  let row = id.y * 8u;
  let column = id.x * 8u;
  if (row >= params.m || column >= params.n) { return; }
  let batch = id.z;
  let outer = batch / params.batchInner;
  let inner = batch % params.batchInner;
  let aBase = params.aOffset + outer * params.aBatchOuter + inner * params.aBatchInner;
  let bBase = params.bOffset + outer * params.bBatchOuter + inner * params.bBatchInner;
  let rows = Side(aBase, params.aRow, params.aColumn, params.m);
  let columns = Side(bBase, params.bColumn, params.bRow, params.n);
  var sums = Sums();
  multiply(&sums, row, column, rows, columns, params.k);
  // Rows and columns past the edge are not stored.
  for (var q = 0u; q < 16u; q++) {
    let ownRow = row + q / 2u;
    let first = column + 4u * (q % 2u);
    if (ownRow >= params.m || first >= params.n) { continue; }
    let fours = foursAt(&sums, q);
    let place = (batch * params.m + ownRow) * params.n + first;
    prepare(place);
    for (var j = 0u; j < min(4u, params.n - first); j++) { emit(place + j, fours[j]); }
  }
}
