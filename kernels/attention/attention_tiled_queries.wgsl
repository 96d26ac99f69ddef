// The gradient of q for hardware adapters (Dao, "FlashAttention-2", 2023): a workgroup has ROWS queries of one head and takes
// COLUMNS keys at a time. The weights are made again from the scores and the logarithms of their sums; no two workgroups add
// to one element.
// In front: `readQ`, `readK`, `readV`, `readG` and `writeOut`; parameters and functions: attention_params.wgsl,
// attention_tiles.wgsl, attention_tiles_gradient.wgsl.
@group(0) @binding(1) var<storage, read> q: array<Stored>;
@group(0) @binding(2) var<storage, read> k: array<Stored>;
@group(0) @binding(3) var<storage, read> v: array<Stored>;
@group(0) @binding(4) var<storage, read> g: array<Stored>;
@group(0) @binding(5) var<storage, read> visible: array<u32>;
@group(0) @binding(6) var<storage, read> statistics: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<Stored>;

const OUT_ROWS = ROWS / SPANS;

fn fetchKeys(i: u32, kHead: u32, keyStart: u32) -> vec4<f32> {
  let key = keyStart + i / CHUNKS;
  if (i >= TALL * CHUNKS || key >= params.keys) { return vec4<f32>(); }
  return readK(kHead + key * params.kRow, i % CHUNKS);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let pair = group.z;
  let rowStart = group.x * ROWS;
  let heads = Heads(
    headOf(pair, params.qOffset, params.qBatch, params.qHead),
    headOf(pair, params.kOffset, params.kBatch, params.kHead),
    headOf(pair, params.vOffset, params.vBatch, params.vHead),
    headOf(pair, params.gOffset, params.gBatch, params.gHead),
  );
  let visibleFrom = params.visibleOffset + (pair / params.heads) * params.visibleBatch;
  if (lane < ROWS) {
    let at = 2u * (pair * params.queries + min(rowStart + lane, params.queries - 1u));
    marks[lane] = vec2<f32>(bitcast<f32>(statistics[at]), bitcast<f32>(statistics[at + 1u]));
  }

  let x = lane % TILE_X;
  let y = lane / TILE_X;
  let outX = lane % SPAN;
  let outY = lane / SPAN;
  // The number of the step lies behind the statistics of all queries.
  let stream = drawStream(statistics[2u * params.pairs * params.queries]);
  var sums: array<vec4<f32>, OUT_ROWS * OUT_CHUNKS>;
  var fetched: array<vec4<f32>, FETCHES>;

  let end = select(params.keys, min(params.keys, rowStart + ROWS), CAUSAL);
  for (var n = 0u; n < FETCHES; n++) { // unroll
    fetched[n] = fetchSlice(0u, n * THREADS + lane, heads, rowStart, 0u, 0u);
  }
  for (var keyStart = 0u; keyStart < end; keyStart += COLUMNS) {
    let keys = vec4<u32>(keyStart + 4u * x) + vec4<u32>(0u, 1u, 2u, 3u);
    var seen = vec4<bool>(true);
    if (MASKED) {
      let at = visibleFrom + min(keys, vec4<u32>(params.keys - 1u)) * params.visibleKey;
      seen = vec4<u32>(visible[at.x], visible[at.y], visible[at.z], visible[at.w]) != vec4<u32>();
    }
    for (var turn = 0u; turn < 2u; turn++) { // unroll
      var products = array<vec4<f32>, TILE_ROWS>();
      for (var chunk = 0u; chunk < params.chunks; chunk += STEP) {
        workgroupBarrier();
        for (var n = 0u; n < FETCHES; n++) { // unroll
          tile[placeOf(n * THREADS + lane)] = fetched[n];
        }
        workgroupBarrier();
        if (chunk + STEP < params.chunks) {
          for (var n = 0u; n < FETCHES; n++) { // unroll
            fetched[n] = fetchSlice(turn, n * THREADS + lane, heads, rowStart, keyStart, chunk + STEP);
          }
        } else if (turn == 0u) {
          for (var n = 0u; n < FETCHES; n++) { // unroll
            fetched[n] = fetchSlice(1u, n * THREADS + lane, heads, rowStart, keyStart, 0u);
          }
        } else {
          for (var n = 0u; n < FETCHES; n++) { // unroll
            fetched[n] = fetchKeys(n * THREADS + lane, heads.k, keyStart);
          }
        }
        addSlice(&products, x, y, min(STEP, params.chunks - chunk));
      }
      for (var r = 0u; r < TILE_ROWS; r++) { // unroll
        let tileRow = y + TILE_Y * r;
        let row = rowStart + tileRow;
        let at = tileRow * WEIGHT_PITCH + x;
        if (turn == 0u) {
          // Between the turns each thread finds its own weights there.
          let weight = weightsOf(products[r] * params.scale, marks[tileRow].x, row, vec4<bool>(true));
          weights[at] = select(vec4<f32>(), weight, seen & meetsFour(row, keys));
        } else {
          var gain = products[r];
          if (DROPS) { gain *= keepFour(firstDraw(pair, row), keys.x, stream); }
          let slope = weights[at] * (gain - marks[tileRow].y) * params.scale;
          weights[at] = select(vec4<f32>(), slope, seen & meetsFour(row, keys));
        }
      }
    }

    let columns = min(COLUMNS, params.keys - keyStart);
    for (var first = 0u; first < columns; first += TALL) {
      workgroupBarrier();
      for (var n = 0u; n < FETCHES; n++) { // unroll
        if (n * THREADS + lane < TALL * CHUNKS) { tile[n * THREADS + lane] = fetched[n]; }
      }
      workgroupBarrier();
      if (first + TALL < columns) {
        for (var n = 0u; n < FETCHES; n++) { // unroll
          fetched[n] = fetchKeys(n * THREADS + lane, heads.k, keyStart + first + TALL);
        }
      } else {
        for (var n = 0u; n < FETCHES; n++) { // unroll
          fetched[n] = fetchSlice(0u, n * THREADS + lane, heads, rowStart, keyStart + COLUMNS, 0u);
        }
      }
      // Past the last key there are zeros.
      for (var j = 0u; j < min(TALL, columns - first); j += 4u) {
        for (var c = 0u; c < OUT_CHUNKS; c++) { // unroll
          let at = j * CHUNKS + min(outX + SPAN * c, CHUNKS - 1u);
          let k0 = tile[at];
          let k1 = tile[at + CHUNKS];
          let k2 = tile[at + 2u * CHUNKS];
          let k3 = tile[at + 3u * CHUNKS];
          for (var r = 0u; r < OUT_ROWS; r++) { // unroll
            let slope = weights[(outY + SPANS * r) * WEIGHT_PITCH + (first + j) / 4u];
            sums[r * OUT_CHUNKS + c] += slope.x * k0;
            sums[r * OUT_CHUNKS + c] += slope.y * k1;
            sums[r * OUT_CHUNKS + c] += slope.z * k2;
            sums[r * OUT_CHUNKS + c] += slope.w * k3;
          }
        }
      }
    }
  }

  for (var r = 0u; r < OUT_ROWS; r++) { // unroll
    let row = rowStart + outY + SPANS * r;
    if (row < params.queries) {
      let at = outputRow(pair, params.queries, row);
      for (var c = 0u; c < OUT_CHUNKS; c++) { // unroll
        let chunk = outX + SPAN * c;
        if (chunk < CHUNKS) { writeOut(at, chunk, sums[r * OUT_CHUNKS + c]); }
      }
    }
  }
}
