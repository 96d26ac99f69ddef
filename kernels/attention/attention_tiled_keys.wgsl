// The gradients of k and v for hardware adapters (Dao, "FlashAttention-2", 2023): a workgroup has COLUMNS keys of one head
// and takes ROWS queries and the gradients of their outputs at a time. No two workgroups add to one element.
// In front: `readQ`, `readK`, `readV`, `readG`, `writeDk` and `writeDv`; parameters and functions: attention_params.wgsl,
// attention_tiles.wgsl, attention_tiles_gradient.wgsl.
@group(0) @binding(1) var<storage, read> q: array<Stored>;
@group(0) @binding(2) var<storage, read> k: array<Stored>;
@group(0) @binding(3) var<storage, read> v: array<Stored>;
@group(0) @binding(4) var<storage, read> g: array<Stored>;
@group(0) @binding(5) var<storage, read> visible: array<u32>;
@group(0) @binding(6) var<storage, read> statistics: array<u32>;
@group(0) @binding(7) var<storage, read_write> dk: array<Stored>;
@group(0) @binding(8) var<storage, read_write> dv: array<Stored>;

// Fours of keys, those of a thread where queries are summed.
const OUT_FOURS = TILE_X / SPANS;
const OUT_SUMS = 4u * OUT_FOURS * OUT_CHUNKS;

// Of gradients in the first turn, of queries in the second.
fn fetchRows(turn: u32, i: u32, heads: Heads, rowStart: u32) -> vec4<f32> {
  let row = rowStart + i / CHUNKS;
  if (i >= TALL * CHUNKS || row >= params.queries) { return vec4<f32>(); }
  if (turn == 0u) { return readG(heads.g + row * params.gRow, i % CHUNKS); }
  return readQ(heads.q + row * params.qRow, i % CHUNKS);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let pair = group.z;
  let keyStart = group.x * COLUMNS;
  let heads = Heads(
    headOf(pair, params.qOffset, params.qBatch, params.qHead),
    headOf(pair, params.kOffset, params.kBatch, params.kHead),
    headOf(pair, params.vOffset, params.vBatch, params.vHead),
    headOf(pair, params.gOffset, params.gBatch, params.gHead),
  );

  let x = lane % TILE_X;
  let y = lane / TILE_X;
  let outX = lane % SPAN;
  let outY = lane / SPAN;
  // The number of the step lies behind the statistics of all queries.
  let stream = drawStream(statistics[2u * params.pairs * params.queries]);
  let keys = vec4<u32>(keyStart + 4u * x) + vec4<u32>(0u, 1u, 2u, 3u);
  var seen = vec4<bool>(true);
  if (MASKED) {
    let origin = params.visibleOffset + (pair / params.heads) * params.visibleBatch;
    let at = origin + min(keys, vec4<u32>(params.keys - 1u)) * params.visibleKey;
    seen = vec4<u32>(visible[at.x], visible[at.y], visible[at.z], visible[at.w]) != vec4<u32>();
  }
  // Of values, then of keys.
  var sums: array<vec4<f32>, 2u * OUT_SUMS>;
  var slopes: array<vec4<f32>, TILE_ROWS>;
  var fetched: array<vec4<f32>, FETCHES>;

  let firstRow = select(0u, keyStart, CAUSAL);
  for (var n = 0u; n < FETCHES; n++) { // unroll
    fetched[n] = fetchSlice(0u, n * THREADS + lane, heads, firstRow, keyStart, 0u);
  }
  for (var rowStart = firstRow; rowStart < params.queries; rowStart += ROWS) {
    for (var turn = 0u; turn < 2u; turn++) { // unroll
      var products = array<vec4<f32>, TILE_ROWS>();
      for (var chunk = 0u; chunk < params.chunks; chunk += STEP) {
        workgroupBarrier();
        for (var n = 0u; n < FETCHES; n++) { // unroll
          tile[placeOf(n * THREADS + lane)] = fetched[n];
        }
        if (turn == 0u && chunk == 0u && lane < ROWS) {
          let at = 2u * (pair * params.queries + min(rowStart + lane, params.queries - 1u));
          marks[lane] = vec2<f32>(bitcast<f32>(statistics[at]), bitcast<f32>(statistics[at + 1u]));
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
            fetched[n] = fetchRows(0u, n * THREADS + lane, heads, rowStart);
          }
        }
        addSlice(&products, x, y, min(STEP, params.chunks - chunk));
      }
      for (var r = 0u; r < TILE_ROWS; r++) { // unroll
        let tileRow = y + TILE_Y * r;
        let row = rowStart + tileRow;
        let at = tileRow * WEIGHT_PITCH + x;
        let met = meetsFour(row, keys) & vec4<bool>(row < params.queries);
        if (turn == 0u) {
          // Between the turns each thread finds its own weights there.
          let weight = weightsOf(products[r] * params.scale, marks[tileRow].x, row, seen);
          weights[at] = select(vec4<f32>(), weight, met);
        } else {
          let weight = weights[at];
          var keep = vec4<f32>(1.0);
          if (DROPS) { keep = keepFour(firstDraw(pair, row), keys.x, stream); }
          let slope = weight * (products[r] * keep - marks[tileRow].y) * params.scale;
          slopes[r] = select(vec4<f32>(), slope, seen & met);
          weights[at] = weight * keep;
        }
      }
    }

    let rows = min(ROWS, params.queries - rowStart);
    for (var turn = 0u; turn < 2u; turn++) { // unroll
      for (var first = 0u; first < rows; first += TALL) {
        workgroupBarrier();
        for (var n = 0u; n < FETCHES; n++) { // unroll
          if (n * THREADS + lane < TALL * CHUNKS) { tile[n * THREADS + lane] = fetched[n]; }
        }
        if (turn == 1u && first == 0u) {
          for (var r = 0u; r < TILE_ROWS; r++) { // unroll
            weights[(y + TILE_Y * r) * WEIGHT_PITCH + x] = slopes[r];
          }
        }
        workgroupBarrier();
        if (first + TALL < rows) {
          for (var n = 0u; n < FETCHES; n++) { // unroll
            fetched[n] = fetchRows(turn, n * THREADS + lane, heads, rowStart + first + TALL);
          }
        } else if (turn == 0u) {
          for (var n = 0u; n < FETCHES; n++) { // unroll
            fetched[n] = fetchRows(1u, n * THREADS + lane, heads, rowStart);
          }
        } else {
          for (var n = 0u; n < FETCHES; n++) { // unroll
            fetched[n] = fetchSlice(0u, n * THREADS + lane, heads, rowStart + ROWS, keyStart, 0u);
          }
        }
        // Past the last query there are zeros.
        for (var j = 0u; j < min(TALL, rows - first); j += 2u) {
          for (var i = 0u; i < 2u; i++) { // unroll
            for (var c = 0u; c < OUT_CHUNKS; c++) { // unroll
              let own = tile[(j + i) * CHUNKS + min(outX + SPAN * c, CHUNKS - 1u)];
              for (var f = 0u; f < OUT_FOURS; f++) { // unroll
                let four = weights[(first + j + i) * WEIGHT_PITCH + outY + SPANS * f];
                sums[turn * OUT_SUMS + 4u * (f * OUT_CHUNKS + c)] += four.x * own;
                sums[turn * OUT_SUMS + 4u * (f * OUT_CHUNKS + c) + 1u] += four.y * own;
                sums[turn * OUT_SUMS + 4u * (f * OUT_CHUNKS + c) + 2u] += four.z * own;
                sums[turn * OUT_SUMS + 4u * (f * OUT_CHUNKS + c) + 3u] += four.w * own;
              }
            }
          }
        }
      }
    }
  }

  for (var f = 0u; f < OUT_FOURS; f++) { // unroll
    for (var e = 0u; e < 4u; e++) { // unroll
      let key = keyStart + 4u * (outY + SPANS * f) + e;
      if (key < params.keys) {
        let at = outputRow(pair, params.keys, key);
        for (var c = 0u; c < OUT_CHUNKS; c++) { // unroll
          let chunk = outX + SPAN * c;
          if (chunk < CHUNKS) {
            writeDv(at, chunk, sums[4u * (f * OUT_CHUNKS + c) + e]);
            writeDk(at, chunk, sums[OUT_SUMS + 4u * (f * OUT_CHUNKS + c) + e]);
          }
        }
      }
    }
  }
}
