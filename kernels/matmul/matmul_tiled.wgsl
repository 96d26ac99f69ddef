// C[batch, m, n] = A[batch, m, k] B[batch, k, n] with any strides, for hardware adapters: a workgroup makes a tile of
// TILE_M x TILE_N of C, K in steps of 16 through workgroup memory, 8 x 8 outputs a thread in registers. A thread fetches
// blocks of 4 x 4 into registers while the step before is multiplied, and stores them as whole vectors, k by k.
// A thread's rows are two fours, half a tile apart, and so are its columns: neighbouring threads read neighbouring
// vectors. Where the grid is deeper than `batches`, k is split: each split sums `chunk` of it, into an output of its own.
// In front: TILE_M, TILE_N; A_ALONG_K (A's neighbours lie along k, else along m) and B_ALONG_K; AElement and BElement, the
// types in memory, scalars or vectors of four; fourOfA and fourOfB, which read the first `valid` of four elements `step`
// apart; OutElement. Sums are in f32.
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

const STEP = 16u;
const A_FOURS = TILE_M / 4u;
const B_FOURS = TILE_N / 4u;
const THREADS_X = TILE_N / 8u;
const THREADS_Y = TILE_M / 8u;
const THREADS = THREADS_X * THREADS_Y;
const A_BLOCKS = A_FOURS * STEP / 4u;
const BLOCKS = A_BLOCKS + B_FOURS * STEP / 4u;
// Blocks that a thread fetches each step.
const FETCHES = BLOCKS / THREADS;

var<workgroup> aTile: array<vec4<f32>, A_FOURS * STEP>;
var<workgroup> bTile: array<vec4<f32>, B_FOURS * STEP>;

// Rows 0 to 3 of a block are steps along k, its columns are rows of A or columns of B.
fn fetchA(base: u32, row: u32, k: u32, end: u32) -> mat4x4<f32> {
  var block = mat4x4<f32>();
  if (A_ALONG_K) {
    if (k >= end) { return block; }
    let at = base + row * params.aRow + k * params.aColumn;
    for (var j = 0u; j < 4u; j++) {
      if (row + j < params.m) { block[j] = fourOfA(at + j * params.aRow, params.aColumn, min(4u, end - k)); }
    }
    return transpose(block);
  }
  if (row >= params.m) { return block; }
  let at = base + row * params.aRow + k * params.aColumn;
  for (var j = 0u; j < 4u; j++) {
    if (k + j < end) { block[j] = fourOfA(at + j * params.aColumn, params.aRow, min(4u, params.m - row)); }
  }
  return block;
}

fn fetchB(base: u32, column: u32, k: u32, end: u32) -> mat4x4<f32> {
  var block = mat4x4<f32>();
  if (B_ALONG_K) {
    if (k >= end) { return block; }
    let at = base + column * params.bColumn + k * params.bRow;
    for (var j = 0u; j < 4u; j++) {
      if (column + j < params.n) { block[j] = fourOfB(at + j * params.bColumn, params.bRow, min(4u, end - k)); }
    }
    return transpose(block);
  }
  if (column >= params.n) { return block; }
  let at = base + column * params.bColumn + k * params.bRow;
  for (var j = 0u; j < 4u; j++) {
    if (k + j < end) { block[j] = fourOfB(at + j * params.bRow, params.bColumn, min(4u, params.n - column)); }
  }
  return block;
}

// Where a block of 4 x 4 lies in its tile. Neighbouring threads follow the operand's neighbours in memory.
struct Place {
  ofA: bool,
  // Of the vectors along m or n.
  four: u32,
  // The first of its steps along k.
  step: u32,
}

fn placeOf(block: u32) -> Place {
  const STEPS = STEP / 4u;
  if (block < A_BLOCKS) {
    if (A_ALONG_K) { return Place(true, block / STEPS, 4u * (block % STEPS)); }
    return Place(true, block % A_FOURS, 4u * (block / A_FOURS));
  }
  let rest = block - A_BLOCKS;
  if (B_ALONG_K) { return Place(false, rest / STEPS, 4u * (rest % STEPS)); }
  return Place(false, rest % B_FOURS, 4u * (rest / B_FOURS));
}

fn fetch(block: u32, aBase: u32, row: u32, bBase: u32, column: u32, k: u32, end: u32) -> mat4x4<f32> {
  let place = placeOf(block);
  if (place.ofA) { return fetchA(aBase, row + 4u * place.four, k + place.step, end); }
  return fetchB(bBase, column + 4u * place.four, k + place.step, end);
}

// A block of four rows and four columns, the first of which are `row` and `column`.
fn store(base: u32, row: u32, column: u32, sums: mat4x4<f32>) {
  if (column >= params.n) { return; }
  for (var r = 0u; r < min(4u, max(row, params.m) - row); r++) {
    let at = base + (row + r) * params.n + column;
    prepare(at);
    for (var j = 0u; j < min(4u, params.n - column); j++) { emit(at + j, sums[r][j]); }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let rowStart = group.y * TILE_M;
  let columnStart = group.x * TILE_N;
  let batch = group.z % params.batches;
  let start = group.z / params.batches * params.chunk;
  let end = min(params.k, start + params.chunk);
  let outer = batch / params.batchInner;
  let inner = batch % params.batchInner;
  let aBase = params.aOffset + outer * params.aBatchOuter + inner * params.aBatchInner;
  let bBase = params.bOffset + outer * params.bBatchOuter + inner * params.bBatchInner;

  // c00: upper rows, left columns; a row a vector.
  var c00 = mat4x4<f32>();
  var c01 = mat4x4<f32>();
  var c10 = mat4x4<f32>();
  var c11 = mat4x4<f32>();
  let x = lane % THREADS_X;
  let y = lane / THREADS_X;
  var fetched: array<mat4x4<f32>, FETCHES>;
  for (var i = 0u; i < FETCHES; i++) { fetched[i] = fetch(i * THREADS + lane, aBase, rowStart, bBase, columnStart, start, end); }
  for (var k0 = start; k0 < end; k0 += STEP) {
    workgroupBarrier();
    for (var i = 0u; i < FETCHES; i++) {
      let place = placeOf(i * THREADS + lane);
      for (var j = 0u; j < 4u; j++) {
        if (place.ofA) {
          aTile[(place.step + j) * A_FOURS + place.four] = fetched[i][j];
        } else {
          bTile[(place.step + j) * B_FOURS + place.four] = fetched[i][j];
        }
      }
    }
    workgroupBarrier();
    // Past the end these are zeros that nobody stores.
    for (var i = 0u; i < FETCHES; i++) {
      fetched[i] = fetch(i * THREADS + lane, aBase, rowStart, bBase, columnStart, k0 + STEP, end);
    }
    for (var k = 0u; k < STEP; k++) {
      let a0 = aTile[k * A_FOURS + y];
      let a1 = aTile[k * A_FOURS + y + THREADS_Y];
      let b0 = bTile[k * B_FOURS + x];
      let b1 = bTile[k * B_FOURS + x + THREADS_X];
      c00 += mat4x4<f32>(a0.x * b0, a0.y * b0, a0.z * b0, a0.w * b0);
      c01 += mat4x4<f32>(a0.x * b1, a0.y * b1, a0.z * b1, a0.w * b1);
      c10 += mat4x4<f32>(a1.x * b0, a1.y * b0, a1.z * b0, a1.w * b0);
      c11 += mat4x4<f32>(a1.x * b1, a1.y * b1, a1.z * b1, a1.w * b1);
    }
  }
  let base = group.z * params.m * params.n;
  let row = rowStart + 4u * y;
  let column = columnStart + 4u * x;
  store(base, row, column, c00);
  store(base, row, column + TILE_N / 2u, c01);
  store(base, row + TILE_M / 2u, column, c10);
  store(base, row + TILE_M / 2u, column + TILE_N / 2u, c11);
}
