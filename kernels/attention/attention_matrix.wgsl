// softmax(scale q k^T) v of halves by matrix units. Fragments of the output cannot be scaled row by row as the maximum of a
// row grows, so the keys pass by twice: first for the maxima and the sums, then for weights that need no more scaling until
// the end, where rows are divided by their sums. That costs one more product, and no traffic for the output.
// In front: `readQ`, `readK`, `readV` and `writeOut`; parameters and functions: attention_params.wgsl and
// attention_matrix_parts.wgsl.
@group(0) @binding(1) var<storage, read> q: array<Stored>;
@group(0) @binding(2) var<storage, read> k: array<Stored>;
@group(0) @binding(3) var<storage, read> v: array<Stored>;
@group(0) @binding(4) var<storage, read> visible: array<u32>;
@group(0) @binding(5) var<storage, read> steps: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<Stored>;
@group(0) @binding(7) var<storage, read_write> logSums: array<f32>;

// Queries, keys or values, weights.
const HALVES = HELD + PASSING + WEIGHTS;
const SINGLES = SCORES;
// Threads that share a row while its maximum and its sum are found.
const PARTS = (THREADS + ROWS - 1u) / ROWS;
const SHARE = COLUMNS / PARTS;
// Maximum and sum of a part of a row; at the end, maximum and reciprocal of the sum.
var<workgroup> running: array<vec2<f32>, PARTS * ROWS>;

fn loadKeys(lane: u32, head: u32, keyStart: u32) {
  for (var i = lane; i < COLUMNS * (WIDTH / 4u); i += THREADS) {
    let key = keyStart + i / (WIDTH / 4u);
    let c = i % (WIDTH / 4u);
    var x = vec4<f32>();
    if (key < params.keys && c < CHUNKS) { x = readK(head + key * params.kRow, c); }
    storeHalves(HELD + (i / (WIDTH / 4u)) * PITCH + 4u * c, x);
  }
}

fn scoreOf(at: u32, visibleFrom: u32, key: u32) -> f32 {
  var seen = true;
  if (MASKED) { seen = visible[visibleFrom + min(key, params.keys - 1u) * params.visibleKey] != 0u; }
  return select(HIDDEN, singles[at] * params.scale, seen);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let pair = group.z;
  let rowStart = group.x * ROWS;
  let qHead = headOf(pair, params.qOffset, params.qBatch, params.qHead);
  let kHead = headOf(pair, params.kOffset, params.kBatch, params.kHead);
  let vHead = headOf(pair, params.vOffset, params.vBatch, params.vHead);
  let visibleFrom = params.visibleOffset + (pair / params.heads) * params.visibleBatch;
  let subgroup = lane / SUBGROUP;
  for (var i = lane; i < ROWS * (WIDTH / 4u); i += THREADS) {
    let row = rowStart + i / (WIDTH / 4u);
    let c = i % (WIDTH / 4u);
    var x = vec4<f32>();
    if (row < params.queries && c < CHUNKS) { x = readQ(qHead + row * params.qRow, c); }
    storeHalves((i / (WIDTH / 4u)) * PITCH + 4u * c, x);
  }
  for (var i = lane; i < PARTS * ROWS; i += THREADS) { running[i] = vec2<f32>(LOWEST, 0.0); }

  let end = select(params.keys, min(params.keys, rowStart + ROWS), CAUSAL);
  for (var keyStart = 0u; keyStart < end; keyStart += COLUMNS) {
    loadKeys(lane, kHead, keyStart);
    workgroupBarrier();
    multiply(0u, HELD, 0u, subgroup);
    workgroupBarrier();
    for (var i = lane; i < PARTS * ROWS; i += THREADS) {
      let row = i % ROWS;
      let first = (i / ROWS) * SHARE;
      let share = min(SHARE, params.keys);
      var most = running[i].x;
      for (var j = 0u; j < share; j++) {
        let key = keyStart + first + j;
        if (meets(rowStart + row, key)) {
          most = max(most, scoreOf(row * SCORE_PITCH + first + j, visibleFrom, key));
        }
      }
      var total = running[i].y * power(running[i].x - most);
      for (var j = 0u; j < share; j++) {
        let key = keyStart + first + j;
        if (meets(rowStart + row, key)) {
          total += power(scoreOf(row * SCORE_PITCH + first + j, visibleFrom, key) - most);
        }
      }
      running[i] = vec2<f32>(most, total);
    }
    workgroupBarrier();
  }
  for (var row = lane; row < ROWS; row += THREADS) {
    var most = LOWEST;
    for (var p = 0u; p < PARTS; p++) { most = max(most, running[p * ROWS + row].x); }
    var total = 0.0;
    for (var p = 0u; p < PARTS; p++) { total += running[p * ROWS + row].y * power(running[p * ROWS + row].x - most); }
    if (rowStart + row < params.queries) { logSums[pair * params.queries + rowStart + row] = logSumOf(most, total); }
    // Without keys the output is 0.
    running[row] = vec2<f32>(most, select(1.0 / total, 0.0, params.keys == 0u));
  }
  workgroupBarrier();

  let stream = drawStream(steps[params.stepOffset]);
  let weights = HELD + PASSING;
  var sums: Sums;
  for (var keyStart = 0u; keyStart < end; keyStart += COLUMNS) {
    loadKeys(lane, kHead, keyStart);
    workgroupBarrier();
    multiply(0u, HELD, 0u, subgroup);
    workgroupBarrier();
    for (var i = lane; i < COLUMNS * (WIDTH / 4u); i += THREADS) {
      let key = keyStart + i / (WIDTH / 4u);
      let c = i % (WIDTH / 4u);
      var x = vec4<f32>();
      if (key < params.keys && c < CHUNKS) { x = readV(vHead + key * params.vRow, c); }
      storeHalves(HELD + (i / (WIDTH / 4u)) * PITCH + 4u * c, x);
    }
    for (var i = lane; i < ROWS * FOURS; i += THREADS) {
      let row = i / FOURS;
      let start = firstDraw(pair, rowStart + row);
      var four = vec4<f32>();
      for (var j = 0u; j < 4u; j++) {
        let column = 4u * (i % FOURS) + j;
        let key = keyStart + column;
        if (meets(rowStart + row, key)) {
          four[j] = power(scoreOf(row * SCORE_PITCH + column, visibleFrom, key) - running[row].x);
          if (DROPS) { four[j] *= keepOf(start, key, stream); }
        }
      }
      storeHalves(weights + row * WEIGHT_PITCH + 4u * (i % FOURS), four);
    }
    workgroupBarrier();
    accumulate(&sums, weights, HELD, subgroup);
    workgroupBarrier();
  }

  for (var r = 0u; r < 16u / UNIT_M; r++) {
    for (var s = 0u; s < WIDTH / UNIT_N; s++) {
      stage(&sums, r, s, subgroup);
      workgroupBarrier();
      for (var four = lane % SUBGROUP; four < UNIT_M * UNIT_N / 4u; four += SUBGROUP) {
        let row = subgroup * 16u + r * UNIT_M + 4u * four / UNIT_N;
        let chunk = s * (UNIT_N / 4u) + four % (UNIT_N / 4u);
        if (rowStart + row < params.queries && chunk < CHUNKS) {
          writeOut(outputRow(pair, params.queries, rowStart + row), chunk, staged(four, subgroup) * running[row].y);
        }
      }
      workgroupBarrier();
    }
  }
}
