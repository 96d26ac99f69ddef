// C[batch, m, n] = A[batch, m, k] B[batch, k, n] with any strides by matrix units, f16 x f16 summed in f32. Four subgroups
// make a tile of TILE_M x TILE_N of C, a quarter each. K goes through workgroup memory in steps of STEP, in two buffers:
// while one is multiplied, the next step is fetched into registers and then stored in the other.
// What the units made goes through workgroup memory, one fragment a subgroup at a time, for only there can elements be told
// apart. Where PARTS is 2, an f32 operand is the sum of two halves, x = high + low / 2048, and C = high high + (high low +
// low high) / 2048: about 21 bits of each factor, as far as they are within the range of f16.
// In front: UNIT_M, UNIT_N, UNIT_K, a product that the units do; SUBGROUP, threads a subgroup; TILE_M, TILE_N, STEP; PARTS;
// A_ALONG_K, B_ALONG_K, AElement, BElement, fourOfA, fourOfB as for matmul_tiled; loadLeft and loadRight, which read a
// fragment from a tile as it lies there; OutElement.
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

const THREADS = 4u * SUBGROUP;
// Tiles lie as their operands do; rows are padded against bank conflicts.
const PAD = 8u;
const A_STRIDE = select(TILE_M, STEP, A_ALONG_K) + PAD;
const B_STRIDE = select(TILE_N, STEP, B_ALONG_K) + PAD;
const A_SIZE = select(STEP, TILE_M, A_ALONG_K) * A_STRIDE;
const B_SIZE = select(STEP, TILE_N, B_ALONG_K) * B_STRIDE;
const A_FETCHES = TILE_M * STEP / 4u / THREADS;
const B_FETCHES = TILE_N * STEP / 4u / THREADS;
// Fragments of a subgroup's quarter.
const ROWS = TILE_M / 2u / UNIT_M;
const COLUMNS = TILE_N / 2u / UNIT_N;
const FRAGMENT = UNIT_M * UNIT_N;
const LOW = 2048.0;

var<workgroup> aTile: array<f16, 2u * PARTS * A_SIZE>;
var<workgroup> bTile: array<f16, 2u * PARTS * B_SIZE>;
var<workgroup> sums: array<f32, 4u * FRAGMENT>;

alias Left = subgroup_matrix_left<f16, UNIT_K, UNIT_M>;
alias Right = subgroup_matrix_right<f16, UNIT_N, UNIT_K>;
alias Sum = subgroup_matrix_result<f32, UNIT_N, UNIT_M>;

// Four neighbours of a tile: the row (of A; of B the column) and the step along k of the first.
struct Place {
  row: u32,
  step: u32,
}

fn placeInA(four: u32) -> Place {
  if (A_ALONG_K) { return Place(four / (STEP / 4u), 4u * (four % (STEP / 4u))); }
  return Place(4u * (four % (TILE_M / 4u)), four / (TILE_M / 4u));
}

fn placeInB(four: u32) -> Place {
  if (B_ALONG_K) { return Place(four / (STEP / 4u), 4u * (four % (STEP / 4u))); }
  return Place(4u * (four % (TILE_N / 4u)), four / (TILE_N / 4u));
}

fn fetchA(base: u32, row: u32, k: u32, end: u32) -> vec4<f32> {
  if (row >= params.m || k >= end) { return vec4<f32>(); }
  let at = base + row * params.aRow + k * params.aColumn;
  if (A_ALONG_K) { return fourOfA(at, params.aColumn, min(4u, end - k)); }
  return fourOfA(at, params.aRow, min(4u, params.m - row));
}

fn fetchB(base: u32, column: u32, k: u32, end: u32) -> vec4<f32> {
  if (column >= params.n || k >= end) { return vec4<f32>(); }
  let at = base + column * params.bColumn + k * params.bRow;
  if (B_ALONG_K) { return fourOfB(at, params.bRow, min(4u, end - k)); }
  return fourOfB(at, params.bColumn, min(4u, params.n - column));
}

fn storeA(buffer: u32, place: Place, four: vec4<f32>) {
  let at = buffer * PARTS * A_SIZE +
    select(place.step * A_STRIDE + place.row, place.row * A_STRIDE + place.step, A_ALONG_K);
  // Drivers may keep the digits of f32 in a value of f16; this rounds.
  let high = select(four, quantizeToF16(four), PARTS == 2u);
  for (var j = 0u; j < 4u; j++) { aTile[at + j] = f16(high[j]); }
  if (PARTS == 2u) {
    let low = vec4<f16>((four - high) * LOW);
    for (var j = 0u; j < 4u; j++) { aTile[at + (PARTS - 1u) * A_SIZE + j] = low[j]; }
  }
}

fn storeB(buffer: u32, place: Place, four: vec4<f32>) {
  let at = buffer * PARTS * B_SIZE +
    select(place.step * B_STRIDE + place.row, place.row * B_STRIDE + place.step, B_ALONG_K);
  // Drivers may keep the digits of f32 in a value of f16; this rounds.
  let high = select(four, quantizeToF16(four), PARTS == 2u);
  for (var j = 0u; j < 4u; j++) { bTile[at + j] = f16(high[j]); }
  if (PARTS == 2u) {
    let low = vec4<f16>((four - high) * LOW);
    for (var j = 0u; j < 4u; j++) { bTile[at + (PARTS - 1u) * B_SIZE + j] = low[j]; }
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
  let subgroup = lane / SUBGROUP;
  // The subgroup's quarter of the tile.
  let quarterRow = (subgroup / 2u) * (TILE_M / 2u);
  let quarterColumn = (subgroup % 2u) * (TILE_N / 2u);

  var c: array<array<Sum, COLUMNS>, ROWS>;
  // What the low parts add, 2048-fold.
  var d: array<array<Sum, (COLUMNS - 1u) * (PARTS - 1u) + 1u>, (ROWS - 1u) * (PARTS - 1u) + 1u>;
  for (var i = 0u; i < A_FETCHES; i++) {
    let place = placeInA(i * THREADS + lane);
    storeA(0u, place, fetchA(aBase, rowStart + place.row, start + place.step, end));
  }
  for (var i = 0u; i < B_FETCHES; i++) {
    let place = placeInB(i * THREADS + lane);
    storeB(0u, place, fetchB(bBase, columnStart + place.row, start + place.step, end));
  }
  workgroupBarrier();
  var buffer = 0u;
  for (var k0 = start; k0 < end; k0 += STEP) {
    // Past the end these are zeros that nobody multiplies.
    var nextA: array<vec4<f32>, A_FETCHES>;
    var nextB: array<vec4<f32>, B_FETCHES>;
    for (var i = 0u; i < A_FETCHES; i++) {
      let place = placeInA(i * THREADS + lane);
      nextA[i] = fetchA(aBase, rowStart + place.row, k0 + STEP + place.step, end);
    }
    for (var i = 0u; i < B_FETCHES; i++) {
      let place = placeInB(i * THREADS + lane);
      nextB[i] = fetchB(bBase, columnStart + place.row, k0 + STEP + place.step, end);
    }
    for (var k = 0u; k < STEP; k += UNIT_K) {
      let aAt = buffer * PARTS * A_SIZE + select(k * A_STRIDE + quarterRow, quarterRow * A_STRIDE + k, A_ALONG_K);
      let bAt = buffer * PARTS * B_SIZE + select(k * B_STRIDE + quarterColumn, quarterColumn * B_STRIDE + k, B_ALONG_K);
      var left: array<Left, ROWS>;
      for (var r = 0u; r < ROWS; r++) {
        let at = aAt + r * UNIT_M * select(1u, A_STRIDE, A_ALONG_K);
        left[r] = loadLeft(at);
      }
      for (var s = 0u; s < COLUMNS; s++) {
        let at = bAt + s * UNIT_N * select(1u, B_STRIDE, B_ALONG_K);
        let right = loadRight(at);
        for (var r = 0u; r < ROWS; r++) { c[r][s] = subgroupMatrixMultiplyAccumulate(left[r], right, c[r][s]); }
        if (PARTS == 2u) {
          let low = loadRight(at + B_SIZE * (PARTS - 1u));
          for (var r = 0u; r < ROWS; r++) {
            let lowAt = aAt + A_SIZE * (PARTS - 1u) + r * UNIT_M * select(1u, A_STRIDE, A_ALONG_K);
            let lowLeft = loadLeft(lowAt);
            d[r * (PARTS - 1u)][s * (PARTS - 1u)] =
              subgroupMatrixMultiplyAccumulate(left[r], low, d[r * (PARTS - 1u)][s * (PARTS - 1u)]);
            d[r * (PARTS - 1u)][s * (PARTS - 1u)] =
              subgroupMatrixMultiplyAccumulate(lowLeft, right, d[r * (PARTS - 1u)][s * (PARTS - 1u)]);
          }
        }
      }
    }
    buffer = 1u - buffer;
    for (var i = 0u; i < A_FETCHES; i++) { storeA(buffer, placeInA(i * THREADS + lane), nextA[i]); }
    for (var i = 0u; i < B_FETCHES; i++) { storeB(buffer, placeInB(i * THREADS + lane), nextB[i]); }
    workgroupBarrier();
  }

  let base = group.z * params.m * params.n;
  let mine = subgroup * FRAGMENT;
  let thread = lane % SUBGROUP;
  for (var r = 0u; r < ROWS; r++) {
    for (var s = 0u; s < COLUMNS; s++) {
      var lows: array<vec4<f32>, (FRAGMENT / 4u + SUBGROUP - 1u) / SUBGROUP>;
      if (PARTS == 2u) {
        subgroupMatrixStore<row_major>(&sums, mine, d[r * (PARTS - 1u)][s * (PARTS - 1u)], UNIT_N);
        workgroupBarrier();
        for (var four = thread; four < FRAGMENT / 4u; four += SUBGROUP) {
          let at = mine + 4u * four;
          lows[four / SUBGROUP] = vec4<f32>(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]) / LOW;
        }
        workgroupBarrier();
      }
      subgroupMatrixStore<row_major>(&sums, mine, c[r][s], UNIT_N);
      workgroupBarrier();
      for (var four = thread; four < FRAGMENT / 4u; four += SUBGROUP) {
        let row = rowStart + quarterRow + r * UNIT_M + 4u * four / UNIT_N;
        let column = columnStart + quarterColumn + s * UNIT_N + 4u * four % UNIT_N;
        if (row < params.m && column < params.n) {
          let at = base + row * params.n + column;
          prepare(at);
          for (var j = 0u; j < min(4u, params.n - column); j++) {
            emit(at + j, sums[mine + 4u * four + j] + lows[four / SUBGROUP][j]);
          }
        }
      }
      workgroupBarrier();
    }
  }
}
