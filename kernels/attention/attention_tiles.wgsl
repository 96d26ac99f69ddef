// What the kernels of attention for hardware adapters share; stands after attention_params.wgsl. A workgroup makes ROWS
// queries times COLUMNS keys of the scores at a time, as a product of tiles: STEP vectors of each row pass through workgroup
// memory at once (a slice), and each thread has TILE_ROWS queries times four neighbouring keys in registers. Sums over keys or
// queries take whole rows, TALL of them at once. Each next slice is fetched while the one before is multiplied.
// Every array in registers is indexed by constants alone: compilers keep others in memory. The loops around them have bounds
// that no compiler knows: what was written out whole would be loaded whole, too.
// In front: ROWS, COLUMNS, TALL; SPAN, threads beside each other in a row of sums.
const THREADS = 128u;
const STEP = 4u;
// Odd pitches, so that neighbouring threads meet different banks.
const PITCH = STEP + 1u;
const WEIGHT_PITCH = COLUMNS / 4u + 1u;
const TILE_X = COLUMNS / 4u;
const TILE_Y = THREADS / TILE_X;
const TILE_ROWS = ROWS / TILE_Y;
const SLICE = (ROWS + COLUMNS) * STEP;
const FETCHES = SLICE / THREADS;
const SPANS = THREADS / SPAN;
const OUT_CHUNKS = (CHUNKS + SPAN - 1u) / SPAN;

// A slice of queries and keys, or of gradients and values; or TALL whole rows.
var<workgroup> tile: array<vec4<f32>, (ROWS + COLUMNS) * PITCH>;
// Scores, weights or gradients of scores: four neighbouring keys a vector.
var<workgroup> weights: array<vec4<f32>, ROWS * WEIGHT_PITCH>;

// Where a vector of a slice lies in its tile: queries, then keys, of which a thread's four are TILE_X rows apart.
fn placeOf(i: u32) -> u32 {
  if (i < ROWS * STEP) { return (i / STEP) * PITCH + i % STEP; }
  let key = i / STEP - ROWS;
  return (ROWS + key % 4u * TILE_X + key / 4u) * PITCH + i % STEP;
}

fn powers(x: vec4<f32>) -> vec4<f32> {
  return select(exp(x), x, (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}

// meets() for four keys.
fn meetsFour(row: u32, keys: vec4<u32>) -> vec4<bool> {
  if (CAUSAL) { return (keys < vec4<u32>(params.keys)) & (keys <= vec4<u32>(row)); }
  return keys < vec4<u32>(params.keys);
}

// weightOf() for four keys.
fn weightsOf(scores: vec4<f32>, logSum: f32, row: u32, areVisible: vec4<bool>) -> vec4<f32> {
  let alike = 1.0 / f32(select(params.keys, min(params.keys, row + 1u), CAUSAL));
  let own = select(vec4<f32>(), powers(scores - logSum), areVisible);
  return select(own, vec4<f32>(alike), logSum < -1e38);
}

// Adds to a thread's products of queries and keys what a slice of so many vectors holds.
fn addSlice(products: ptr<function, array<vec4<f32>, TILE_ROWS>>, x: u32, y: u32, vectors: u32) {
  for (var c = 0u; c < vectors; c++) {
    let k0 = tile[(ROWS + x) * PITCH + c];
    let k1 = tile[(ROWS + TILE_X + x) * PITCH + c];
    let k2 = tile[(ROWS + 2u * TILE_X + x) * PITCH + c];
    let k3 = tile[(ROWS + 3u * TILE_X + x) * PITCH + c];
    let first = vec4<f32>(k0.x, k1.x, k2.x, k3.x);
    let second = vec4<f32>(k0.y, k1.y, k2.y, k3.y);
    let third = vec4<f32>(k0.z, k1.z, k2.z, k3.z);
    let fourth = vec4<f32>(k0.w, k1.w, k2.w, k3.w);
    for (var r = 0u; r < TILE_ROWS; r++) { // unroll
      let own = tile[(y + TILE_Y * r) * PITCH + c];
      (*products)[r] += own.x * first;
      (*products)[r] += own.y * second;
      (*products)[r] += own.z * third;
      (*products)[r] += own.w * fourth;
    }
  }
}
