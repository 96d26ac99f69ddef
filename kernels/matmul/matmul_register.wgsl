// C[batch, m, n] = A[batch, m, k] B[batch, k, n] with any strides: a transposed operand is read in place.
// For adapters that run shaders on the CPU, and on a GPU for products too small for a tile (lib/register_product.wgsl, which
// stands in front).
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
