// C[batch, m, n] = A[batch, m, k] B[batch, k, n] with any strides, for hardware adapters: by tiles of threads or by matrix units,
// which tile_product.wgsl or matrix_product.wgsl in front make. Where the grid is deeper than `batches`, k is split: each split
// sums `chunk` of it, into an output of its own.
// In front: AElement and BElement, the types in memory: scalars, or vectors of as many neighbours as are read at a time;
// OutElement. Sums are in f32. Behind: WIDE, how many neighbours are read at a time, Wide, what they become, and wideOfA and
// wideOfB, which read the first `valid` of them, `step` apart.
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

// Where the first of WIDE neighbours lies, but for k; beyond the last row the last. `valid`: how many there are along rows.
struct Row {
  at: u32,
  valid: u32,
}
alias Column = Row;

fn rowOf(tile: Tile, row: u32) -> Row {
  let first = min(tile.row + row, select((params.m - 1u) / WIDE * WIDE, params.m - 1u, A_ALONG_K));
  return Row(tile.aBase + first * params.aRow, min(WIDE, params.m - first));
}

fn columnOf(tile: Tile, column: u32) -> Column {
  let first = min(tile.column + column, select((params.n - 1u) / WIDE * WIDE, params.n - 1u, B_ALONG_K));
  return Row(tile.bBase + first * params.bColumn, min(WIDE, params.n - first));
}

fn fetchA(row: Row, k: u32, end: u32) -> Wide {
  if (k >= end) { return Wide(); }
  if (A_ALONG_K) { return wideOfA(row.at + k * params.aColumn, params.aColumn, min(WIDE, end - k)); }
  return wideOfA(row.at + k * params.aColumn, params.aRow, row.valid);
}

fn fetchB(column: Column, k: u32, end: u32) -> Wide {
  if (k >= end) { return Wide(); }
  if (B_ALONG_K) { return wideOfB(column.at + k * params.bRow, params.bRow, min(WIDE, end - k)); }
  return wideOfB(column.at + k * params.bRow, params.bColumn, column.valid);
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
