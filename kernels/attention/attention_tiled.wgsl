// softmax(scale q k^T) v for hardware adapters, after Dao, "FlashAttention-2" (2023): a workgroup has ROWS queries of one
// head in workgroup memory and takes COLUMNS keys, then their values, at a time; what was summed so far is scaled to each
// new maximum. Sums, and the scores in workgroup memory, are f32; queries, keys and values are held in their own type.
// Threads share the work in three ways: 8 x 16 of them make the scores, THREADS / ROWS work on the softmax of each query,
// and SPAN beside each other sum values.
// In front: ROWS, COLUMNS, SPAN; `readQ`, `readK`, `readV` and `writeOut`; parameters and functions: attention_params.wgsl.
@group(0) @binding(1) var<storage, read> q: array<Stored>;
@group(0) @binding(2) var<storage, read> k: array<Stored>;
@group(0) @binding(3) var<storage, read> v: array<Stored>;
@group(0) @binding(4) var<storage, read> visible: array<u32>;
@group(0) @binding(5) var<storage, read> steps: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<Stored>;
@group(0) @binding(7) var<storage, read_write> logSums: array<f32>;

const THREADS = 128u;
// Odd pitches, so that neighbouring threads meet different banks.
const PITCH = CHUNKS | 1u;
const SCORE_PITCH = ROWS + 1u;
const SHARE = COLUMNS * ROWS / THREADS;
const SCORE_ROWS = ROWS / 8u;
const SCORE_KEYS = COLUMNS / 16u;
const OUT_ROWS = ROWS * SPAN / THREADS;
const OUT_CHUNKS = (CHUNKS + SPAN - 1u) / SPAN;

var<workgroup> queryTile: array<vec4<Element>, ROWS * CHUNKS>;
// Keys, then their values.
var<workgroup> tile: array<vec4<Element>, COLUMNS * PITCH>;
// Scores, then weights: a key after the other.
var<workgroup> scores: array<f32, COLUMNS * SCORE_PITCH>;
var<workgroup> partial: array<f32, THREADS>;
var<workgroup> factors: array<f32, ROWS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let pair = group.z;
  let rowStart = group.x * ROWS;
  let qHead = headOf(pair, params.qOffset, params.qBatch, params.qHead);
  let kHead = headOf(pair, params.kOffset, params.kBatch, params.kHead);
  let vHead = headOf(pair, params.vOffset, params.vBatch, params.vHead);
  let visibleFrom = params.visibleOffset + (pair / params.heads) * params.visibleBatch;
  for (var i = lane; i < ROWS * CHUNKS; i += THREADS) {
    let row = rowStart + i / CHUNKS;
    var x = vec4<f32>();
    if (row < params.queries) { x = readQ(qHead + row * params.qRow, i % CHUNKS); }
    queryTile[i] = vec4<Element>(x);
  }

  let scoreRow = (lane / 16u) * SCORE_ROWS;
  let scoreKey = lane % 16u;
  let softRow = lane % ROWS;
  let softKey = (lane / ROWS) * SHARE;
  let outRow = (lane / SPAN) * OUT_ROWS;
  let outChunk = lane % SPAN;
  let start = firstDraw(pair, min(rowStart + softRow, params.queries - 1u));
  let stream = drawStream(steps[params.stepOffset]);
  var largest = LOWEST;
  var total = 0.0;
  var sums: array<vec4<f32>, OUT_ROWS * OUT_CHUNKS>;

  let share = min(SHARE, params.keys);
  let end = select(params.keys, min(params.keys, rowStart + ROWS), CAUSAL);
  for (var keyStart = 0u; keyStart < end; keyStart += COLUMNS) {
    let columns = min(COLUMNS, params.keys - keyStart);
    for (var i = lane; i < COLUMNS * CHUNKS; i += THREADS) {
      let key = keyStart + i / CHUNKS;
      var x = vec4<f32>();
      if (key < params.keys) { x = readK(kHead + key * params.kRow, i % CHUNKS); }
      tile[(i / CHUNKS) * PITCH + i % CHUNKS] = vec4<Element>(x);
    }
    workgroupBarrier();

    var products = array<f32, SCORE_ROWS * SCORE_KEYS>();
    for (var c = 0u; c < params.chunks; c++) {
      var keys: array<vec4<f32>, SCORE_KEYS>;
      for (var j = 0u; j < SCORE_KEYS; j++) { keys[j] = vec4<f32>(tile[(scoreKey + 16u * j) * PITCH + c]); }
      for (var r = 0u; r < SCORE_ROWS; r++) {
        let x = vec4<f32>(queryTile[(scoreRow + r) * CHUNKS + c]);
        for (var j = 0u; j < SCORE_KEYS; j++) { products[r * SCORE_KEYS + j] += dot(x, keys[j]); }
      }
    }
    for (var j = 0u; j < SCORE_KEYS; j++) {
      let column = scoreKey + 16u * j;
      let key = keyStart + column;
      var seen = true;
      if (MASKED) { seen = visible[visibleFrom + min(key, params.keys - 1u) * params.visibleKey] != 0u; }
      for (var r = 0u; r < SCORE_ROWS; r++) {
        let score = select(HIDDEN, products[r * SCORE_KEYS + j] * params.scale, seen);
        scores[column * SCORE_PITCH + scoreRow + r] = select(LOWEST, score, meets(rowStart + scoreRow + r, key));
      }
    }
    workgroupBarrier();

    for (var i = lane; i < COLUMNS * CHUNKS; i += THREADS) {
      let key = keyStart + i / CHUNKS;
      var x = vec4<f32>();
      if (key < params.keys) { x = readV(vHead + key * params.vRow, i % CHUNKS); }
      tile[(i / CHUNKS) * PITCH + i % CHUNKS] = vec4<Element>(x);
    }
    var most = LOWEST;
    for (var j = 0u; j < share; j++) { most = max(most, scores[(softKey + j) * SCORE_PITCH + softRow]); }
    partial[lane] = most;
    workgroupBarrier();

    let before = largest;
    for (var i = softRow; i < THREADS; i += ROWS) { largest = max(largest, partial[i]); }
    let factor = power(before - largest);
    total *= factor;
    for (var j = 0u; j < share; j++) {
      let at = (softKey + j) * SCORE_PITCH + softRow;
      let key = keyStart + softKey + j;
      var weight = 0.0;
      if (meets(rowStart + softRow, key)) { weight = power(scores[at] - largest); }
      total += weight;
      if (DROPS) { weight *= keepOf(start, key, stream); }
      scores[at] = weight;
    }
    if (lane < ROWS) { factors[lane] = factor; }
    workgroupBarrier();

    for (var r = 0u; r < OUT_ROWS; r++) {
      for (var c = 0u; c < OUT_CHUNKS; c++) { sums[r * OUT_CHUNKS + c] *= factors[outRow + r]; }
    }
    for (var j = 0u; j < columns; j++) {
      for (var c = 0u; c < OUT_CHUNKS; c++) {
        let x = vec4<f32>(tile[j * PITCH + min(outChunk + SPAN * c, CHUNKS - 1u)]);
        for (var r = 0u; r < OUT_ROWS; r++) {
          sums[r * OUT_CHUNKS + c] += scores[j * SCORE_PITCH + outRow + r] * x;
        }
      }
    }
    workgroupBarrier();
  }

  partial[lane] = total;
  workgroupBarrier();
  if (lane < ROWS) {
    var sum = 0.0;
    for (var i = lane; i < THREADS; i += ROWS) { sum += partial[i]; }
    // Without keys the output is 0.
    factors[lane] = select(1.0 / sum, 0.0, params.keys == 0u);
    if (rowStart + lane < params.queries) {
      logSums[pair * params.queries + rowStart + lane] = logSumOf(largest, sum);
    }
  }
  workgroupBarrier();
  for (var r = 0u; r < OUT_ROWS; r++) {
    let row = rowStart + outRow + r;
    if (row >= params.queries) { continue; }
    let at = outputRow(pair, params.queries, row);
    for (var c = 0u; c < OUT_CHUNKS; c++) {
      let chunk = outChunk + SPAN * c;
      if (chunk < CHUNKS) { writeOut(at, chunk, sums[r * OUT_CHUNKS + c] * factors[outRow + r]); }
    }
  }
}
