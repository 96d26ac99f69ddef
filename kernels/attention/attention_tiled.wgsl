// softmax(scale q k^T) v for hardware adapters, after Dao, "FlashAttention-2" (2023): a workgroup has ROWS queries of one
// head and takes COLUMNS keys, then their values, at a time; what was summed so far is scaled to each new maximum. Everything
// between is f32. Threads share the work in three ways: as tiles of scores, THREADS / ROWS of them on the softmax of each
// query, and SPAN beside each other where values are summed.
// In front: `readQ`, `readK`, `readV` and `writeOut`; parameters and functions: attention_params.wgsl, attention_tiles.wgsl.
@group(0) @binding(1) var<storage, read> q: array<Stored>;
@group(0) @binding(2) var<storage, read> k: array<Stored>;
@group(0) @binding(3) var<storage, read> v: array<Stored>;
@group(0) @binding(4) var<storage, read> visible: array<u32>;
@group(0) @binding(5) var<storage, read> steps: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<Stored>;
@group(0) @binding(7) var<storage, read_write> logSums: array<f32>;

const PARTS = THREADS / ROWS;
// Of four keys each, those of a thread in a softmax.
const FOURS = COLUMNS / 4u / PARTS;
const OUT_ROWS = ROWS / SPANS;

var<workgroup> partial: array<f32, THREADS>;
var<workgroup> factors: array<f32, ROWS>;

fn fetchSlice(i: u32, qHead: u32, rowStart: u32, kHead: u32, keyStart: u32, chunk: u32) -> vec4<f32> {
  let c = chunk + i % STEP;
  if (c >= CHUNKS) { return vec4<f32>(); }
  if (i < ROWS * STEP) {
    let row = rowStart + i / STEP;
    if (row >= params.queries) { return vec4<f32>(); }
    return readQ(qHead + row * params.qRow, c);
  }
  let key = keyStart + i / STEP - ROWS;
  if (key >= params.keys) { return vec4<f32>(); }
  return readK(kHead + key * params.kRow, c);
}

fn fetchValues(i: u32, vHead: u32, keyStart: u32) -> vec4<f32> {
  let key = keyStart + i / CHUNKS;
  if (i >= TALL * CHUNKS || key >= params.keys) { return vec4<f32>(); }
  return readV(vHead + key * params.vRow, i % CHUNKS);
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

  let x = lane % TILE_X;
  let y = lane / TILE_X;
  let softRow = lane % ROWS;
  let softFour = (lane / ROWS) * FOURS;
  let outX = lane % SPAN;
  let outY = lane / SPAN;
  let start = firstDraw(pair, min(rowStart + softRow, params.queries - 1u));
  let stream = drawStream(steps[params.stepOffset]);
  var largest = LOWEST;
  var total = 0.0;
  var sums: array<vec4<f32>, OUT_ROWS * OUT_CHUNKS>;
  var fetched: array<vec4<f32>, FETCHES>;

  let end = select(params.keys, min(params.keys, rowStart + ROWS), CAUSAL);
  for (var n = 0u; n < FETCHES; n++) { // unroll
    fetched[n] = fetchSlice(n * THREADS + lane, qHead, rowStart, kHead, 0u, 0u);
  }
  for (var keyStart = 0u; keyStart < end; keyStart += COLUMNS) {
    var products = array<vec4<f32>, TILE_ROWS>();
    for (var chunk = 0u; chunk < params.chunks; chunk += STEP) {
      workgroupBarrier();
      for (var n = 0u; n < FETCHES; n++) { // unroll
        tile[placeOf(n * THREADS + lane)] = fetched[n];
      }
      workgroupBarrier();
      if (chunk + STEP < params.chunks) {
        for (var n = 0u; n < FETCHES; n++) { // unroll
          fetched[n] = fetchSlice(n * THREADS + lane, qHead, rowStart, kHead, keyStart, chunk + STEP);
        }
      } else {
        for (var n = 0u; n < FETCHES; n++) { // unroll
          fetched[n] = fetchValues(n * THREADS + lane, vHead, keyStart);
        }
      }
      addSlice(&products, x, y, min(STEP, params.chunks - chunk));
    }

    let keys = vec4<u32>(keyStart + 4u * x) + vec4<u32>(0u, 1u, 2u, 3u);
    var seen = vec4<bool>(true);
    if (MASKED) {
      let at = visibleFrom + min(keys, vec4<u32>(params.keys - 1u)) * params.visibleKey;
      seen = vec4<u32>(visible[at.x], visible[at.y], visible[at.z], visible[at.w]) != vec4<u32>();
    }
    for (var r = 0u; r < TILE_ROWS; r++) { // unroll
      let row = y + TILE_Y * r;
      let score = select(vec4<f32>(HIDDEN), products[r] * params.scale, seen);
      weights[row * WEIGHT_PITCH + x] = select(vec4<f32>(LOWEST), score, meetsFour(rowStart + row, keys));
    }
    workgroupBarrier();

    var scores: array<vec4<f32>, FOURS>;
    var most = LOWEST;
    for (var f = 0u; f < FOURS; f++) { // unroll
      let four = weights[softRow * WEIGHT_PITCH + softFour + f];
      scores[f] = four;
      most = max(most, max(max(four.x, four.y), max(four.z, four.w)));
    }
    partial[lane] = most;
    workgroupBarrier();

    let before = largest;
    for (var i = softRow; i < THREADS; i += ROWS) { largest = max(largest, partial[i]); }
    let factor = power(before - largest);
    total *= factor;
    for (var f = 0u; f < FOURS; f++) { // unroll
      let key = keyStart + 4u * (softFour + f);
      let met = meetsFour(rowStart + softRow, vec4<u32>(key) + vec4<u32>(0u, 1u, 2u, 3u));
      var four = select(vec4<f32>(), powers(scores[f] - largest), met);
      total += (four.x + four.y) + (four.z + four.w);
      if (DROPS) { four *= keepFour(start, key, stream); }
      weights[softRow * WEIGHT_PITCH + softFour + f] = four;
    }
    if (lane < ROWS) { factors[lane] = factor; }

    let columns = min(COLUMNS, params.keys - keyStart);
    for (var first = 0u; first < columns; first += TALL) {
      workgroupBarrier();
      for (var n = 0u; n < FETCHES; n++) { // unroll
        if (n * THREADS + lane < TALL * CHUNKS) { tile[n * THREADS + lane] = fetched[n]; }
      }
      workgroupBarrier();
      if (first == 0u) {
        for (var r = 0u; r < OUT_ROWS; r++) { // unroll
          let scaling = factors[outY + SPANS * r];
          for (var c = 0u; c < OUT_CHUNKS; c++) { // unroll
            sums[r * OUT_CHUNKS + c] *= scaling;
          }
        }
      }
      if (first + TALL < columns) {
        for (var n = 0u; n < FETCHES; n++) { // unroll
          fetched[n] = fetchValues(n * THREADS + lane, vHead, keyStart + first + TALL);
        }
      } else {
        for (var n = 0u; n < FETCHES; n++) { // unroll
          fetched[n] = fetchSlice(n * THREADS + lane, qHead, rowStart, kHead, keyStart + COLUMNS, 0u);
        }
      }
      // Past the last key there are zeros.
      for (var j = 0u; j < min(TALL, columns - first); j += 4u) {
        for (var c = 0u; c < OUT_CHUNKS; c++) { // unroll
          let at = j * CHUNKS + min(outX + SPAN * c, CHUNKS - 1u);
          let v0 = tile[at];
          let v1 = tile[at + CHUNKS];
          let v2 = tile[at + 2u * CHUNKS];
          let v3 = tile[at + 3u * CHUNKS];
          for (var r = 0u; r < OUT_ROWS; r++) { // unroll
            let weight = weights[(outY + SPANS * r) * WEIGHT_PITCH + (first + j) / 4u];
            sums[r * OUT_CHUNKS + c] += weight.x * v0;
            sums[r * OUT_CHUNKS + c] += weight.y * v1;
            sums[r * OUT_CHUNKS + c] += weight.z * v2;
            sums[r * OUT_CHUNKS + c] += weight.w * v3;
          }
        }
      }
    }
  }

  workgroupBarrier();
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
  for (var r = 0u; r < OUT_ROWS; r++) { // unroll
    let row = outY + SPANS * r;
    if (rowStart + row < params.queries) {
      let at = outputRow(pair, params.queries, rowStart + row);
      for (var c = 0u; c < OUT_CHUNKS; c++) { // unroll
        let chunk = outX + SPAN * c;
        if (chunk < CHUNKS) { writeOut(at, chunk, sums[r * OUT_CHUNKS + c] * factors[row]); }
      }
    }
  }
}
