// The gradient of q for hardware adapters (Dao, "FlashAttention-2", 2023): a workgroup has ROWS queries of one head and the
// gradients of their outputs in workgroup memory and takes COLUMNS values, then their keys, at a time. The weights are made
// again from the scores and the logarithms of their sums; no two workgroups add to one element.
// In front: ROWS, COLUMNS, SPAN; `readQ`, `readK`, `readV`, `readG` and `writeOut`; parameters and functions:
// attention_params.wgsl. Threads share the work as in attention_tiled.wgsl.
@group(0) @binding(1) var<storage, read> q: array<Stored>;
@group(0) @binding(2) var<storage, read> k: array<Stored>;
@group(0) @binding(3) var<storage, read> v: array<Stored>;
@group(0) @binding(4) var<storage, read> g: array<Stored>;
@group(0) @binding(5) var<storage, read> visible: array<u32>;
@group(0) @binding(6) var<storage, read> statistics: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<Stored>;

const THREADS = 128u;
const PITCH = CHUNKS | 1u;
const SLOPE_PITCH = ROWS + 1u;
const SHARE = COLUMNS * ROWS / THREADS;
const SCORE_ROWS = ROWS / 8u;
const SCORE_KEYS = COLUMNS / 16u;
const OUT_ROWS = ROWS * SPAN / THREADS;
const OUT_CHUNKS = (CHUNKS + SPAN - 1u) / SPAN;

var<workgroup> queryTile: array<vec4<Element>, ROWS * CHUNKS>;
var<workgroup> gradientTile: array<vec4<Element>, ROWS * CHUNKS>;
// Values, then their keys.
var<workgroup> tile: array<vec4<Element>, COLUMNS * PITCH>;
// What is dropped, then gradients of scores: a key after the other.
var<workgroup> slopes: array<f32, COLUMNS * SLOPE_PITCH>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let pair = group.z;
  let rowStart = group.x * ROWS;
  let qHead = headOf(pair, params.qOffset, params.qBatch, params.qHead);
  let kHead = headOf(pair, params.kOffset, params.kBatch, params.kHead);
  let vHead = headOf(pair, params.vOffset, params.vBatch, params.vHead);
  let gHead = headOf(pair, params.gOffset, params.gBatch, params.gHead);
  let visibleFrom = params.visibleOffset + (pair / params.heads) * params.visibleBatch;
  for (var i = lane; i < ROWS * CHUNKS; i += THREADS) {
    let row = rowStart + i / CHUNKS;
    var x = vec4<f32>();
    var y = vec4<f32>();
    if (row < params.queries) {
      x = readQ(qHead + row * params.qRow, i % CHUNKS);
      y = readG(gHead + row * params.gRow, i % CHUNKS);
    }
    queryTile[i] = vec4<Element>(x);
    gradientTile[i] = vec4<Element>(y);
  }

  let scoreRow = (lane / 16u) * SCORE_ROWS;
  let scoreKey = lane % 16u;
  let dropRow = lane % ROWS;
  let dropKey = (lane / ROWS) * SHARE;
  let outRow = (lane / SPAN) * OUT_ROWS;
  let outChunk = lane % SPAN;
  let start = firstDraw(pair, min(rowStart + dropRow, params.queries - 1u));
  // The number of the step lies behind the statistics of all queries.
  let stream = drawStream(statistics[2u * params.pairs * params.queries]);
  var rows: array<vec2<f32>, SCORE_ROWS>;
  for (var r = 0u; r < SCORE_ROWS; r++) {
    let at = 2u * (pair * params.queries + min(rowStart + scoreRow + r, params.queries - 1u));
    rows[r] = vec2<f32>(bitcast<f32>(statistics[at]), bitcast<f32>(statistics[at + 1u]));
  }
  var sums: array<vec4<f32>, OUT_ROWS * OUT_CHUNKS>;

  let share = min(SHARE, params.keys);
  let end = select(params.keys, min(params.keys, rowStart + ROWS), CAUSAL);
  for (var keyStart = 0u; keyStart < end; keyStart += COLUMNS) {
    let columns = min(COLUMNS, params.keys - keyStart);
    if (DROPS) {
      for (var j = 0u; j < share; j++) {
        slopes[(dropKey + j) * SLOPE_PITCH + dropRow] = keepOf(start, keyStart + dropKey + j, stream);
      }
    }
    for (var i = lane; i < COLUMNS * CHUNKS; i += THREADS) {
      let key = keyStart + i / CHUNKS;
      var x = vec4<f32>();
      if (key < params.keys) { x = readV(vHead + key * params.vRow, i % CHUNKS); }
      tile[(i / CHUNKS) * PITCH + i % CHUNKS] = vec4<Element>(x);
    }
    workgroupBarrier();

    var gains = array<f32, SCORE_ROWS * SCORE_KEYS>();
    for (var c = 0u; c < params.chunks; c++) {
      var values: array<vec4<f32>, SCORE_KEYS>;
      for (var j = 0u; j < SCORE_KEYS; j++) { values[j] = vec4<f32>(tile[(scoreKey + 16u * j) * PITCH + c]); }
      for (var r = 0u; r < SCORE_ROWS; r++) {
        let x = vec4<f32>(gradientTile[(scoreRow + r) * CHUNKS + c]);
        for (var j = 0u; j < SCORE_KEYS; j++) { gains[r * SCORE_KEYS + j] += dot(x, values[j]); }
      }
    }
    workgroupBarrier();

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
        let row = rowStart + scoreRow + r;
        let at = column * SLOPE_PITCH + scoreRow + r;
        var gain = gains[r * SCORE_KEYS + j];
        if (DROPS) { gain *= slopes[at]; }
        var slope = 0.0;
        if (seen && meets(row, key)) {
          let weight = weightOf(products[r * SCORE_KEYS + j] * params.scale, rows[r].x, row, true);
          slope = weight * (gain - rows[r].y) * params.scale;
        }
        slopes[at] = slope;
      }
    }
    workgroupBarrier();

    for (var j = 0u; j < columns; j++) {
      for (var c = 0u; c < OUT_CHUNKS; c++) {
        let x = vec4<f32>(tile[j * PITCH + min(outChunk + SPAN * c, CHUNKS - 1u)]);
        for (var r = 0u; r < OUT_ROWS; r++) {
          sums[r * OUT_CHUNKS + c] += slopes[j * SLOPE_PITCH + outRow + r] * x;
        }
      }
    }
    workgroupBarrier();
  }

  for (var r = 0u; r < OUT_ROWS; r++) {
    let row = rowStart + outRow + r;
    if (row >= params.queries) { continue; }
    let at = outputRow(pair, params.queries, row);
    for (var c = 0u; c < OUT_CHUNKS; c++) {
      let chunk = outChunk + SPAN * c;
      if (chunk < CHUNKS) { writeOut(at, chunk, sums[r * OUT_CHUNKS + c]); }
    }
  }
}
