// The heart of products on GPUs: the threads of a workgroup sum a tile of TILE_M x TILE_N, ROWS x COLUMNS sums a thread in
// registers, k in steps of STEP through workgroup memory; while one step is multiplied the next is fetched into registers.
// A thread's rows lie in fours, THREADS_Y fours apart, and so do its columns: neighbouring threads read neighbouring vectors.
//
// In front: TILE_M, TILE_N, ROWS, COLUMNS, STEP, TURN (32 threads a multiple of which make a tile, 8 of them a row); A_ALONG_K and B_ALONG_K, whether neighbours of an operand lie along k
// or else along its rows (of B its columns). Behind, the kernel says what is multiplied and what becomes of it:
//   struct Tile                                          what is known of the workgroup's tile
//   fn rowOf(tile: Tile, row: u32) -> Row                what is known of a row of the tile, once for all k
//   fn columnOf(tile: Tile, column: u32) -> Column
//   fn fetchA(row: Row, k: u32, end: u32) -> vec4<f32>   four neighbours from k on, zeros at `end` and after; beyond the
//   fn fetchB(column: Column, k: u32, end: u32)          operand's rows or columns anything
//   fn keep(tile: Tile, row: u32, column: u32, sum: f32) stores a sum
//
// The loop over a step's k ends where the compiler cannot know, and makes TURN of them a turn: NVIDIA's moves the reads of a
// loop that it can write out in front of all products, where there are no registers for them (a fifth of the speed).
const A_FOURS = TILE_M / 4u;
const B_FOURS = TILE_N / 4u;
const ROW_FOURS = ROWS / 4u;
const COLUMN_FOURS = COLUMNS / 4u;
const THREADS_X = TILE_N / COLUMNS;
const THREADS_Y = TILE_M / ROWS;
const THREADS = THREADS_X * THREADS_Y;
// Threads that run together lie 8 x 4, so that they read few different vectors.
const LANES_X = 8u;
const LANES_Y = 4u;
// Vectors a step; one more than there are keeps threads that store along k in other banks.
const A_STRIDE = A_FOURS + 1u;
const B_STRIDE = B_FOURS + 1u;
const A_SIZE = STEP * A_STRIDE;
const TILES_SIZE = A_SIZE + STEP * B_STRIDE;
// Vectors that a thread fetches each step.
const A_FETCHES = A_FOURS * STEP / THREADS;
const B_FETCHES = B_FOURS * STEP / THREADS;
// Rows of a thread that fit into the tiles' memory when sums leave: 1, 2 or 4.
const FITTING = TILES_SIZE / (THREADS_Y * B_FOURS);
const PHASE_ROWS = 1u + min(FITTING / 2u, 1u) + 2u * min(FITTING / 4u, 1u);
var<workgroup> tiles: array<vec4<f32>, TILES_SIZE>;

alias Sums = array<vec4<f32>, ROWS * COLUMN_FOURS>;

// Where a fetched vector belongs in its tile: the row or column and the step along k of its first element.
fn placeInA(fetch: u32) -> vec2<u32> {
  if (A_ALONG_K) { return vec2<u32>(fetch / (STEP / 4u), 4u * (fetch % (STEP / 4u))); }
  return vec2<u32>(4u * (fetch % A_FOURS), fetch / A_FOURS);
}

fn placeInB(fetch: u32) -> vec2<u32> {
  if (B_ALONG_K) { return vec2<u32>(fetch / (STEP / 4u), 4u * (fetch % (STEP / 4u))); }
  return vec2<u32>(4u * (fetch % B_FOURS), fetch / B_FOURS);
}

fn storeInA(place: vec2<u32>, four: vec4<f32>) {
  let at = place.y * A_STRIDE + place.x / 4u;
  if (!A_ALONG_K) {
    tiles[at] = four;
    return;
  }
  tiles[at][place.x % 4u] = four.x;
  tiles[at + A_STRIDE][place.x % 4u] = four.y;
  tiles[at + 2u * A_STRIDE][place.x % 4u] = four.z;
  tiles[at + 3u * A_STRIDE][place.x % 4u] = four.w;
}

fn storeInB(place: vec2<u32>, four: vec4<f32>) {
  let at = A_SIZE + place.y * B_STRIDE + place.x / 4u;
  if (!B_ALONG_K) {
    tiles[at] = four;
    return;
  }
  tiles[at][place.x % 4u] = four.x;
  tiles[at + B_STRIDE][place.x % 4u] = four.y;
  tiles[at + 2u * B_STRIDE][place.x % 4u] = four.z;
  tiles[at + 3u * B_STRIDE][place.x % 4u] = four.w;
}

// Where a thread's first column and row lie, in fours.
fn threadOf(lane: u32) -> vec2<u32> {
  const LANES = LANES_X * LANES_Y;
  const GROUPS_X = THREADS_X / LANES_X;
  let group = lane / LANES;
  let own = lane % LANES;
  return vec2<u32>(group % GROUPS_X * LANES_X + own % LANES_X, group / GROUPS_X * LANES_Y + own / LANES_X);
}

// Adds the products of k, `start` to before `end`.
fn addProducts(sums: ptr<function, Sums>, tile: Tile, lane: u32, start: u32, end: u32) {
  let thread = threadOf(lane);
  let x = thread.x;
  let y = thread.y;
  var a: array<vec4<f32>, A_FETCHES>;
  var b: array<vec4<f32>, B_FETCHES>;
  var rows: array<Row, A_FETCHES>;
  var columns: array<Column, B_FETCHES>;
  for (var i = 0u; i < A_FETCHES; i++) { // unroll
    let place = placeInA(i * THREADS + lane);
    rows[i] = rowOf(tile, place.x);
    a[i] = fetchA(rows[i], start + place.y, end);
  }
  for (var i = 0u; i < B_FETCHES; i++) { // unroll
    let place = placeInB(i * THREADS + lane);
    columns[i] = columnOf(tile, place.x);
    b[i] = fetchB(columns[i], start + place.y, end);
  }
  for (var k0 = start; k0 < end; k0 += STEP) {
    workgroupBarrier();
    for (var i = 0u; i < A_FETCHES; i++) { // unroll
      storeInA(placeInA(i * THREADS + lane), a[i]);
    }
    for (var i = 0u; i < B_FETCHES; i++) { // unroll
      storeInB(placeInB(i * THREADS + lane), b[i]);
    }
    workgroupBarrier();
    // Past the end these are zeros that nobody multiplies.
    for (var i = 0u; i < A_FETCHES; i++) { // unroll
      a[i] = fetchA(rows[i], k0 + STEP + placeInA(i * THREADS + lane).y, end);
    }
    for (var i = 0u; i < B_FETCHES; i++) { // unroll
      b[i] = fetchB(columns[i], k0 + STEP + placeInB(i * THREADS + lane).y, end);
    }
    let steps = min(STEP, end - k0);
    for (var step = 0u; step < steps; step += TURN) {
      for (var turn = 0u; turn < TURN; turn++) { // unroll
        let ofA = (step + turn) * A_STRIDE + y;
        let ofB = A_SIZE + (step + turn) * B_STRIDE + x;
        var right: array<vec4<f32>, COLUMN_FOURS>;
        for (var c = 0u; c < COLUMN_FOURS; c++) { // unroll
          right[c] = tiles[ofB + c * THREADS_X];
        }
        for (var four = 0u; four < ROW_FOURS; four++) { // unroll
          let left = tiles[ofA + four * THREADS_Y];
          for (var r = 0u; r < 4u; r++) { // unroll
            for (var c = 0u; c < COLUMN_FOURS; c++) { // unroll
              (*sums)[(4u * four + r) * COLUMN_FOURS + c] += left[r] * right[c];
            }
          }
        }
      }
    }
  }
}

// Hands the sums to `keep`, neighbours to neighbouring threads.
fn keepSums(sums: ptr<function, Sums>, tile: Tile, lane: u32) {
  let thread = threadOf(lane);
  let x = thread.x;
  let y = thread.y;
  for (var first = 0u; first < ROWS; first += PHASE_ROWS) { // unroll
    workgroupBarrier();
    for (var r = 0u; r < PHASE_ROWS; r++) { // unroll
      for (var c = 0u; c < COLUMN_FOURS; c++) { // unroll
        tiles[(y * PHASE_ROWS + r) * B_FOURS + x + c * THREADS_X] = (*sums)[(first + r) * COLUMN_FOURS + c];
      }
    }
    workgroupBarrier();
    for (var i = lane; i < PHASE_ROWS * THREADS_Y * TILE_N; i += THREADS) {
      let line = i / TILE_N;
      let row = 4u * (line / PHASE_ROWS + first / 4u * THREADS_Y) + first % 4u + line % PHASE_ROWS;
      keep(tile, row, i % TILE_N, tiles[i / 4u][i % 4u]);
    }
  }
}
