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
// Threads that share a row while its maximum and its sum are found, and the fours of scores that each of them has.
const PARTS = (THREADS + ROWS - 1u) / ROWS;
const SHARE = FOURS / PARTS;
// Maximum and sum of a part of a row; at the end, maximum and reciprocal of the sum.
var<workgroup> running: array<vec2<f32>, PARTS * ROWS>;

fn loadKeys(lane: u32, head: u32, keyStart: u32) {
  for (var i = lane; i < COLUMNS * LINE; i += THREADS) {
    let key = keyStart + i / LINE;
    let c = i % LINE;
    var x = vec4<f32>();
    if (key < params.keys && c < CHUNKS) { x = readK(head + key * params.kRow, c); }
    storeHalves(HELD + (i / LINE) * PITCH + c, x);
  }
}

// Four scores of a row; those that no one may see are LOWEST, or HIDDEN where a mask hides them.
fn scoresOf(at: u32, visibleFrom: u32, row: u32, key: u32) -> vec4<f32> {
  var four = scores[at] * params.scale;
  for (var j = 0u; j < 4u; j++) { // unroll
    if (MASKED) { four[j] = select(HIDDEN, four[j], visible[visibleFrom + min(key + j, params.keys - 1u) * params.visibleKey] != 0u); }
    if (!meets(row, key + j)) { four[j] = LOWEST; }
  }
  return four;
}

// Of scores that may be LOWEST, which weigh nothing even where there are no others.
fn weightsOf(four: vec4<f32>, most: f32) -> vec4<f32> {
  var weights: vec4<f32>;
  for (var j = 0u; j < 4u; j++) { // unroll
    weights[j] = select(power(four[j] - most), 0.0, four[j] == LOWEST);
  }
  return weights;
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
  for (var i = lane; i < ROWS * LINE; i += THREADS) {
    let row = rowStart + i / LINE;
    let c = i % LINE;
    var x = vec4<f32>();
    if (row < params.queries && c < CHUNKS) { x = readQ(qHead + row * params.qRow, c); }
    storeHalves((i / LINE) * PITCH + c, x);
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
      let first = i / ROWS * SHARE;
      var own: array<vec4<f32>, SHARE>;
      var highest = vec4<f32>(running[i].x);
      for (var f = 0u; f < SHARE; f++) { // unroll
        own[f] = scoresOf(row * SCORE_PITCH + first + f, visibleFrom, rowStart + row, keyStart + 4u * (first + f));
        highest = max(highest, own[f]);
      }
      let two = max(vec4<f32>(highest.xy, highest.xy), vec4<f32>(highest.zw, highest.zw));
      let most = max(two, two.yxyx).x;
      var total = vec4<f32>(running[i].y * power(running[i].x - most), 0.0, 0.0, 0.0);
      for (var f = 0u; f < SHARE; f++) { // unroll
        total += weightsOf(own[f], most);
      }
      running[i] = vec2<f32>(most, total.x + total.y + total.z + total.w);
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
    for (var i = lane; i < COLUMNS * LINE; i += THREADS) {
      let key = keyStart + i / LINE;
      let c = i % LINE;
      var x = vec4<f32>();
      if (key < params.keys && c < CHUNKS) { x = readV(vHead + key * params.vRow, c); }
      storeHalves(HELD + (i / LINE) * PITCH + c, x);
    }
    for (var i = lane; i < ROWS * FOURS; i += THREADS) {
      let row = i / FOURS;
      let start = firstDraw(pair, rowStart + row);
      let key = keyStart + 4u * (i % FOURS);
      var four = weightsOf(scoresOf(row * SCORE_PITCH + i % FOURS, visibleFrom, rowStart + row, key), running[row].x);
      if (DROPS) { four *= keepFour(start, key, stream); }
      storeHalves(weights + row * WEIGHT_PITCH + i % FOURS, four);
    }
    workgroupBarrier();
    accumulate(&sums, weights, HELD, subgroup);
    workgroupBarrier();
  }

  for (var r = 0u; r < DOWN; r++) { // unroll
    for (var s = 0u; s < ACROSS; s++) { // unroll
      stage(sums[r * ACROSS + s], subgroup);
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
