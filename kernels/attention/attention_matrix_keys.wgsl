// The gradients of k and v of halves by matrix units; see attention_tiled_keys.wgsl. Weights and gradients of scores are
// halves before the last products; the latter are multiplied by the scale after them.
// In front: `readQ`, `readK`, `readV`, `readG`, `writeDk` and `writeDv`; parameters and functions: attention_params.wgsl and
// attention_matrix_parts.wgsl.
@group(0) @binding(1) var<storage, read> q: array<Stored>;
@group(0) @binding(2) var<storage, read> k: array<Stored>;
@group(0) @binding(3) var<storage, read> v: array<Stored>;
@group(0) @binding(4) var<storage, read> g: array<Stored>;
@group(0) @binding(5) var<storage, read> visible: array<u32>;
@group(0) @binding(6) var<storage, read> statistics: array<u32>;
@group(0) @binding(7) var<storage, read_write> dk: array<Stored>;
@group(0) @binding(8) var<storage, read_write> dv: array<Stored>;

// Keys, values, queries or gradients, weights and slopes; scores and gains.
const HALVES = 2u * HELD + PASSING + 2u * WEIGHTS;
const SINGLES = 2u * SCORES;

fn loadQueries(lane: u32, head: u32, rowStart: u32) {
  for (var i = lane; i < COLUMNS * LINE; i += THREADS) {
    let row = rowStart + i / LINE;
    let c = i % LINE;
    var x = vec4<f32>();
    if (row < params.queries && c < CHUNKS) { x = readQ(head + row * params.qRow, c); }
    storeHalves(2u * HELD + (i / LINE) * PITCH + c, x);
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
  let visibleFrom = params.visibleOffset + (pair / params.heads) * params.visibleBatch;
  let subgroup = lane / SUBGROUP;
  for (var i = lane; i < ROWS * LINE; i += THREADS) {
    let key = keyStart + i / LINE;
    let c = i % LINE;
    var x = vec4<f32>();
    var y = vec4<f32>();
    if (key < params.keys && c < CHUNKS) {
      x = readK(kHead + key * params.kRow, c);
      y = readV(vHead + key * params.vRow, c);
    }
    storeHalves((i / LINE) * PITCH + c, x);
    storeHalves(HELD + (i / LINE) * PITCH + c, y);
  }
  let tile = 2u * HELD;
  let weights = tile + PASSING;
  let slopes = weights + WEIGHTS;
  // The number of the step lies behind the statistics of all queries.
  let stream = drawStream(statistics[2u * params.pairs * params.queries]);
  var ofKeys: Sums;
  var ofValues: Sums;

  for (var rowStart = select(0u, keyStart, CAUSAL); rowStart < params.queries; rowStart += COLUMNS) {
    loadQueries(lane, qHead, rowStart);
    workgroupBarrier();
    multiply(0u, tile, 0u, subgroup);
    workgroupBarrier();
    for (var i = lane; i < COLUMNS * LINE; i += THREADS) {
      let row = rowStart + i / LINE;
      let c = i % LINE;
      var x = vec4<f32>();
      if (row < params.queries && c < CHUNKS) { x = readG(gHead + row * params.gRow, c); }
      storeHalves(tile + (i / LINE) * PITCH + c, x);
    }
    workgroupBarrier();
    multiply(HELD, tile, SCORES, subgroup);
    workgroupBarrier();
    // Four keys of four queries at a time: the draws of a query's keys are neighbours, and so are queries in memory.
    for (var i = lane; i < ROWS / 4u * FOURS; i += THREADS) {
      let first = i / FOURS * 4u;
      var weight: array<vec4<f32>, 4>;
      var slope: array<vec4<f32>, 4>;
      for (var c = 0u; c < 4u; c++) { // unroll
        let row = rowStart + 4u * (i % FOURS) + c;
        let mark = 2u * (pair * params.queries + min(row, params.queries - 1u));
        let logSum = bitcast<f32>(statistics[mark]);
        let delta = bitcast<f32>(statistics[mark + 1u]);
        var keep = vec4<f32>(1.0);
        if (DROPS) { keep = keepFour(firstDraw(pair, row), keyStart + first, stream); }
        for (var j = 0u; j < 4u; j++) { // unroll
          let key = keyStart + first + j;
          weight[j][c] = 0.0;
          slope[j][c] = 0.0;
          if (row < params.queries && meets(row, key)) {
            let at = (first + j) * SCORE_PITCH + i % FOURS;
            var seen = true;
            if (MASKED) { seen = visible[visibleFrom + key * params.visibleKey] != 0u; }
            let own = weightOf(scores[at][c] * params.scale, logSum, row, seen);
            slope[j][c] = select(0.0, own * (scores[SCORES + at][c] * keep[j] - delta), seen);
            weight[j][c] = own * keep[j];
          }
        }
      }
      for (var j = 0u; j < 4u; j++) { // unroll
        let at = (first + j) * WEIGHT_PITCH + i % FOURS;
        storeHalves(weights + at, weight[j]);
        storeHalves(slopes + at, slope[j]);
      }
    }
    workgroupBarrier();
    accumulate(&ofValues, weights, tile, subgroup);
    workgroupBarrier();
    loadQueries(lane, qHead, rowStart);
    workgroupBarrier();
    accumulate(&ofKeys, slopes, tile, subgroup);
    workgroupBarrier();
  }

  for (var r = 0u; r < DOWN; r++) { // unroll
    for (var s = 0u; s < ACROSS; s++) { // unroll
      for (var which = 0u; which < 2u; which++) { // unroll
        if (which == 0u) { stage(ofKeys[r * ACROSS + s], subgroup); } else { stage(ofValues[r * ACROSS + s], subgroup); }
        workgroupBarrier();
        for (var four = lane % SUBGROUP; four < UNIT_M * UNIT_N / 4u; four += SUBGROUP) {
          let key = keyStart + subgroup * 16u + r * UNIT_M + 4u * four / UNIT_N;
          let chunk = s * (UNIT_N / 4u) + four % (UNIT_N / 4u);
          if (key >= params.keys || chunk >= CHUNKS) { continue; }
          let at = outputRow(pair, params.keys, key);
          if (which == 0u) { writeDk(at, chunk, staged(four, subgroup) * params.scale); } else { writeDv(at, chunk, staged(four, subgroup)); }
        }
        workgroupBarrier();
      }
    }
  }
}
