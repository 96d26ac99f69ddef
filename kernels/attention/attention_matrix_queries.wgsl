// The gradient of q of halves by matrix units; see attention_tiled_queries.wgsl. Gradients of scores are halves before the
// last product, as they would be in memory, and are multiplied by the scale after it.
// In front: `readQ`, `readK`, `readV`, `readG` and `writeOut`; parameters and functions: attention_params.wgsl and
// attention_matrix_parts.wgsl.
@group(0) @binding(1) var<storage, read> q: array<Stored>;
@group(0) @binding(2) var<storage, read> k: array<Stored>;
@group(0) @binding(3) var<storage, read> v: array<Stored>;
@group(0) @binding(4) var<storage, read> g: array<Stored>;
@group(0) @binding(5) var<storage, read> visible: array<u32>;
@group(0) @binding(6) var<storage, read> statistics: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<Stored>;

// Queries, gradients, values or keys, slopes; scores and gains.
const HALVES = 2u * HELD + PASSING + WEIGHTS;
const SINGLES = 2u * SCORES;

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
  let subgroup = lane / SUBGROUP;
  for (var i = lane; i < ROWS * LINE; i += THREADS) {
    let row = rowStart + i / LINE;
    let c = i % LINE;
    var x = vec4<f32>();
    var y = vec4<f32>();
    if (row < params.queries && c < CHUNKS) {
      x = readQ(qHead + row * params.qRow, c);
      y = readG(gHead + row * params.gRow, c);
    }
    storeHalves((i / LINE) * PITCH + c, x);
    storeHalves(HELD + (i / LINE) * PITCH + c, y);
  }
  let tile = 2u * HELD;
  let slopes = 2u * HELD + PASSING;
  // The number of the step lies behind the statistics of all queries.
  let stream = drawStream(statistics[2u * params.pairs * params.queries]);
  var sums: Sums;

  let end = select(params.keys, min(params.keys, rowStart + ROWS), CAUSAL);
  for (var keyStart = 0u; keyStart < end; keyStart += COLUMNS) {
    for (var i = lane; i < COLUMNS * LINE; i += THREADS) {
      let key = keyStart + i / LINE;
      let c = i % LINE;
      var x = vec4<f32>();
      if (key < params.keys && c < CHUNKS) { x = readV(vHead + key * params.vRow, c); }
      storeHalves(tile + (i / LINE) * PITCH + c, x);
    }
    workgroupBarrier();
    multiply(HELD, tile, SCORES, subgroup);
    workgroupBarrier();
    for (var i = lane; i < COLUMNS * LINE; i += THREADS) {
      let key = keyStart + i / LINE;
      let c = i % LINE;
      var x = vec4<f32>();
      if (key < params.keys && c < CHUNKS) { x = readK(kHead + key * params.kRow, c); }
      storeHalves(tile + (i / LINE) * PITCH + c, x);
    }
    workgroupBarrier();
    multiply(0u, tile, 0u, subgroup);
    workgroupBarrier();
    for (var i = lane; i < ROWS * FOURS; i += THREADS) {
      let row = i / FOURS;
      let mark = 2u * (pair * params.queries + min(rowStart + row, params.queries - 1u));
      let logSum = bitcast<f32>(statistics[mark]);
      let delta = bitcast<f32>(statistics[mark + 1u]);
      let start = firstDraw(pair, rowStart + row);
      let at = row * SCORE_PITCH + i % FOURS;
      let score = scores[at] * params.scale;
      var gain = scores[SCORES + at];
      if (DROPS) { gain *= keepFour(start, keyStart + 4u * (i % FOURS), stream); }
      var four = vec4<f32>();
      for (var j = 0u; j < 4u; j++) { // unroll
        let key = keyStart + 4u * (i % FOURS) + j;
        var seen = meets(rowStart + row, key);
        if (MASKED && seen) { seen = visible[visibleFrom + key * params.visibleKey] != 0u; }
        if (seen) { four[j] = weightOf(score[j], logSum, rowStart + row, true) * (gain[j] - delta); }
      }
      storeHalves(slopes + row * WEIGHT_PITCH + i % FOURS, four);
    }
    workgroupBarrier();
    accumulate(&sums, slopes, tile, subgroup);
    workgroupBarrier();
  }

  for (var r = 0u; r < DOWN; r++) { // unroll
    for (var s = 0u; s < ACROSS; s++) { // unroll
      stage(sums[r * ACROSS + s], subgroup);
      workgroupBarrier();
      for (var four = lane % SUBGROUP; four < UNIT_M * UNIT_N / 4u; four += SUBGROUP) {
        let row = rowStart + subgroup * 16u + r * UNIT_M + 4u * four / UNIT_N;
        let chunk = s * (UNIT_N / 4u) + four % (UNIT_N / 4u);
        if (row < params.queries && chunk < CHUNKS) {
          writeOut(outputRow(pair, params.queries, row), chunk, staged(four, subgroup) * params.scale);
        }
      }
      workgroupBarrier();
    }
  }
}
