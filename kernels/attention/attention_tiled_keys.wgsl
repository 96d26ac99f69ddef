// The gradients of k and v for hardware adapters (Dao, "FlashAttention-2", 2023): a workgroup has ROWS keys of one head and
// their values in workgroup memory and takes COLUMNS queries and the gradients of their outputs in turn. No two workgroups
// add to one element.
// In front: ROWS, COLUMNS, SPAN; `readQ`, `readK`, `readV`, `readG`, `writeDk` and `writeDv`; parameters and functions:
// attention_params.wgsl. Threads share the work as in attention_tiled.wgsl.
@group(0) @binding(1) var<storage, read> q: array<Stored>;
@group(0) @binding(2) var<storage, read> k: array<Stored>;
@group(0) @binding(3) var<storage, read> v: array<Stored>;
@group(0) @binding(4) var<storage, read> g: array<Stored>;
@group(0) @binding(5) var<storage, read> visible: array<u32>;
@group(0) @binding(6) var<storage, read> statistics: array<u32>;
@group(0) @binding(7) var<storage, read_write> dk: array<Stored>;
@group(0) @binding(8) var<storage, read_write> dv: array<Stored>;

const THREADS = 128u;
const PITCH = CHUNKS | 1u;
const SLOPE_PITCH = ROWS + 1u;
const SHARE = COLUMNS * ROWS / THREADS;
const SCORE_KEYS = ROWS / 8u;
const SCORE_QUERIES = COLUMNS / 16u;
const OUT_ROWS = ROWS * SPAN / THREADS;
const OUT_CHUNKS = (CHUNKS + SPAN - 1u) / SPAN;

var<workgroup> keyTile: array<vec4<Element>, ROWS * CHUNKS>;
var<workgroup> valueTile: array<vec4<Element>, ROWS * CHUNKS>;
// Queries, gradients, and queries again.
var<workgroup> tile: array<vec4<Element>, COLUMNS * PITCH>;
// What is dropped, then weights; and gradients of scores: a query after the other.
var<workgroup> weights: array<f32, COLUMNS * SLOPE_PITCH>;
var<workgroup> slopes: array<f32, COLUMNS * SLOPE_PITCH>;

fn loadQueries(lane: u32, head: u32, rowStart: u32) {
  for (var i = lane; i < COLUMNS * CHUNKS; i += THREADS) {
    let row = rowStart + i / CHUNKS;
    var x = vec4<f32>();
    if (row < params.queries) { x = readQ(head + row * params.qRow, i % CHUNKS); }
    tile[(i / CHUNKS) * PITCH + i % CHUNKS] = vec4<Element>(x);
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let pair = group.z;
  let keyStart = group.x * ROWS;
  let qHead = headOf(pair, params.qOffset, params.qBatch, params.qHead);
  let kHead = headOf(pair, params.kOffset, params.kBatch, params.kHead);
  let vHead = headOf(pair, params.vOffset, params.vBatch, params.vHead);
  let gHead = headOf(pair, params.gOffset, params.gBatch, params.gHead);
  for (var i = lane; i < ROWS * CHUNKS; i += THREADS) {
    let key = keyStart + i / CHUNKS;
    var x = vec4<f32>();
    var y = vec4<f32>();
    if (key < params.keys) {
      x = readK(kHead + key * params.kRow, i % CHUNKS);
      y = readV(vHead + key * params.vRow, i % CHUNKS);
    }
    keyTile[i] = vec4<Element>(x);
    valueTile[i] = vec4<Element>(y);
  }

  let scoreKey = (lane / 16u) * SCORE_KEYS;
  let scoreQuery = lane % 16u;
  let dropQuery = lane % COLUMNS;
  let dropKey = (lane / COLUMNS) * SHARE;
  let outRow = (lane / SPAN) * OUT_ROWS;
  let outChunk = lane % SPAN;
  // The number of the step lies behind the statistics of all queries.
  let stream = drawStream(statistics[2u * params.pairs * params.queries]);
  var seen: array<bool, SCORE_KEYS>;
  for (var r = 0u; r < SCORE_KEYS; r++) {
    seen[r] = true;
    if (MASKED) {
      let key = min(keyStart + scoreKey + r, params.keys - 1u);
      let first = params.visibleOffset + (pair / params.heads) * params.visibleBatch;
      seen[r] = visible[first + key * params.visibleKey] != 0u;
    }
  }
  let share = min(SHARE, params.keys);
  var ofKeys: array<vec4<f32>, OUT_ROWS * OUT_CHUNKS>;
  var ofValues: array<vec4<f32>, OUT_ROWS * OUT_CHUNKS>;

  for (var rowStart = select(0u, keyStart, CAUSAL); rowStart < params.queries; rowStart += COLUMNS) {
    let columns = min(COLUMNS, params.queries - rowStart);
    if (DROPS) {
      let start = firstDraw(pair, min(rowStart + dropQuery, params.queries - 1u));
      for (var j = 0u; j < share; j++) {
        weights[dropQuery * SLOPE_PITCH + dropKey + j] = keepOf(start, keyStart + dropKey + j, stream);
      }
    }
    loadQueries(lane, qHead, rowStart);
    workgroupBarrier();

    var products = array<f32, SCORE_KEYS * SCORE_QUERIES>();
    for (var c = 0u; c < params.chunks; c++) {
      var queries: array<vec4<f32>, SCORE_QUERIES>;
      for (var j = 0u; j < SCORE_QUERIES; j++) { queries[j] = vec4<f32>(tile[(scoreQuery + 16u * j) * PITCH + c]); }
      for (var r = 0u; r < SCORE_KEYS; r++) {
        let x = vec4<f32>(keyTile[(scoreKey + r) * CHUNKS + c]);
        for (var j = 0u; j < SCORE_QUERIES; j++) { products[r * SCORE_QUERIES + j] += dot(x, queries[j]); }
      }
    }
    workgroupBarrier();

    for (var i = lane; i < COLUMNS * CHUNKS; i += THREADS) {
      let row = rowStart + i / CHUNKS;
      var x = vec4<f32>();
      if (row < params.queries) { x = readG(gHead + row * params.gRow, i % CHUNKS); }
      tile[(i / CHUNKS) * PITCH + i % CHUNKS] = vec4<Element>(x);
    }
    workgroupBarrier();

    var gains = array<f32, SCORE_KEYS * SCORE_QUERIES>();
    for (var c = 0u; c < params.chunks; c++) {
      var gradients: array<vec4<f32>, SCORE_QUERIES>;
      for (var j = 0u; j < SCORE_QUERIES; j++) { gradients[j] = vec4<f32>(tile[(scoreQuery + 16u * j) * PITCH + c]); }
      for (var r = 0u; r < SCORE_KEYS; r++) {
        let x = vec4<f32>(valueTile[(scoreKey + r) * CHUNKS + c]);
        for (var j = 0u; j < SCORE_QUERIES; j++) { gains[r * SCORE_QUERIES + j] += dot(x, gradients[j]); }
      }
    }
    for (var j = 0u; j < SCORE_QUERIES; j++) {
      let column = scoreQuery + 16u * j;
      let row = rowStart + column;
      let mark = 2u * (pair * params.queries + min(row, params.queries - 1u));
      let logSum = bitcast<f32>(statistics[mark]);
      let delta = bitcast<f32>(statistics[mark + 1u]);
      for (var r = 0u; r < SCORE_KEYS; r++) {
        let at = column * SLOPE_PITCH + scoreKey + r;
        var keep = 1.0;
        if (DROPS) { keep = weights[at]; }
        var weight = 0.0;
        if (row < params.queries && meets(row, keyStart + scoreKey + r)) {
          weight = weightOf(products[r * SCORE_QUERIES + j] * params.scale, logSum, row, seen[r]);
        }
        let slope = weight * (gains[r * SCORE_QUERIES + j] * keep - delta) * params.scale;
        slopes[at] = select(0.0, slope, seen[r]);
        weights[at] = weight * keep;
      }
    }
    workgroupBarrier();

    for (var j = 0u; j < columns; j++) {
      for (var c = 0u; c < OUT_CHUNKS; c++) {
        let x = vec4<f32>(tile[j * PITCH + min(outChunk + SPAN * c, CHUNKS - 1u)]);
        for (var r = 0u; r < OUT_ROWS; r++) {
          ofValues[r * OUT_CHUNKS + c] += weights[j * SLOPE_PITCH + outRow + r] * x;
        }
      }
    }
    workgroupBarrier();

    loadQueries(lane, qHead, rowStart);
    workgroupBarrier();

    for (var j = 0u; j < columns; j++) {
      for (var c = 0u; c < OUT_CHUNKS; c++) {
        let x = vec4<f32>(tile[j * PITCH + min(outChunk + SPAN * c, CHUNKS - 1u)]);
        for (var r = 0u; r < OUT_ROWS; r++) {
          ofKeys[r * OUT_CHUNKS + c] += slopes[j * SLOPE_PITCH + outRow + r] * x;
        }
      }
    }
    workgroupBarrier();
  }

  for (var r = 0u; r < OUT_ROWS; r++) {
    let key = keyStart + outRow + r;
    if (key >= params.keys) { continue; }
    let at = outputRow(pair, params.keys, key);
    for (var c = 0u; c < OUT_CHUNKS; c++) {
      let chunk = outChunk + SPAN * c;
      if (chunk < CHUNKS) {
        writeDk(at, chunk, ofKeys[r * OUT_CHUNKS + c]);
        writeDv(at, chunk, ofValues[r * OUT_CHUNKS + c]);
      }
    }
  }
}
