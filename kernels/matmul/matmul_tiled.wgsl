// C[batch, m, n] = A[batch, m, k] B[batch, k, n] with any strides, for hardware adapters: tiles through workgroup memory
// (tile_product.wgsl, in front). Where the grid is deeper than `batches`, k is split: each split sums `chunk` of it, into an
// output of its own.
// In front: AElement and BElement, the types in memory, scalars or vectors of four; fourOfA and fourOfB, which read the
// first `valid` of four elements `step` apart; OutElement. Sums are in f32.
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
  chunk: u32,
  batches: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AElement>;
@group(0) @binding(2) var<storage, read> b: array<BElement>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

struct Tile {
  row: u32,
  column: u32,
  aBase: u32,
  bBase: u32,
  outBase: u32,
}

fn fetchA(tile: Tile, row: u32, k: u32, end: u32) -> vec4<f32> {
  if (k >= end) { return vec4<f32>(); }
  // Rows beyond the last are the last again.
  if (A_ALONG_K) {
    return fourOfA(tile.aBase + min(tile.row + row, params.m - 1u) * params.aRow + k * params.aColumn, params.aColumn, min(4u, end - k));
  }
  let first = min(tile.row + row, (params.m - 1u) / 4u * 4u);
  return fourOfA(tile.aBase + first * params.aRow + k * params.aColumn, params.aRow, min(4u, params.m - first));
}

fn fetchB(tile: Tile, column: u32, k: u32, end: u32) -> vec4<f32> {
  if (k >= end) { return vec4<f32>(); }
  if (B_ALONG_K) {
    return fourOfB(tile.bBase + min(tile.column + column, params.n - 1u) * params.bColumn + k * params.bRow, params.bRow, min(4u, end - k));
  }
  let first = min(tile.column + column, (params.n - 1u) / 4u * 4u);
  return fourOfB(tile.bBase + first * params.bColumn + k * params.bRow, params.bColumn, min(4u, params.n - first));
}

fn keep(tile: Tile, row: u32, column: u32, sum: f32) {
  let r = tile.row + row;
  let c = tile.column + column;
  if (r >= params.m || c >= params.n) { return; }
  let at = tile.outBase + r * params.n + c;
  prepare(at / 4u * 4u);
  emit(at, sum);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let batch = group.z % params.batches;
  let start = group.z / params.batches * params.chunk;
  let outer = batch / params.batchInner;
  let inner = batch % params.batchInner;
  let tile = Tile(
    group.y * TILE_M,
    group.x * TILE_N,
    params.aOffset + outer * params.aBatchOuter + inner * params.aBatchInner,
    params.bOffset + outer * params.bBatchOuter + inner * params.bBatchInner,
    group.z * params.m * params.n,
  );
  var sums: Sums;
  addProducts(&sums, tile, lane, start, min(params.k, start + params.chunk));
  keepSums(&sums, tile, lane);
}
