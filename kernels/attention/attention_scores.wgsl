// An 8 x 8 block of scores a thread, written out row by row, as in matmul_register.wgsl. In front: attention_weights.wgsl.

// One row of the block.
fn store(pair: u32, row: u32, key: u32, marks: u32, s0: vec4<f32>, s1: vec4<f32>, d0: vec4<f32>, d1: vec4<f32>) {
  if (row >= params.queries) { return; }
  let at = placeOf(pair, row);
  storeFour(at, key, marks, s0, d0);
  storeFour(at, key + 4u, marks >> 4u, s1, d1);
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(8u, 8u, 1u);
  let row = id.y * 8u;
  let key = id.x * 8u;
  if (row >= params.queries || key >= params.keys) { return; }
  let pair = params.first + id.z;
  // Rows and keys past the edge read the last one and are not stored.
  let four = vec4<u32>(0u, 1u, 2u, 3u);
  let lastRow = vec4<u32>(params.queries - 1u);
  let lastKey = vec4<u32>(params.keys - 1u);
  let r0 = min(row + four, lastRow);
  let r1 = min(row + 4u + four, lastRow);
  let k0 = min(key + four, lastKey);
  let k1 = min(key + 4u + four, lastKey);
  let seen = seenFrom(pair, key, 8u);
  var top = headOf(pair, params.qOffset, params.qBatch, params.qHead) + r0 * params.qRow;
  var bottom = headOf(pair, params.qOffset, params.qBatch, params.qHead) + r1 * params.qRow;
  var left = headOf(pair, params.kOffset, params.kBatch, params.kHead) + k0 * params.kRow;
  var right = headOf(pair, params.kOffset, params.kBatch, params.kHead) + k1 * params.kRow;
  var sl0 = vec4<f32>();
  var sr0 = vec4<f32>();
  var sl1 = vec4<f32>();
  var sr1 = vec4<f32>();
  var sl2 = vec4<f32>();
  var sr2 = vec4<f32>();
  var sl3 = vec4<f32>();
  var sr3 = vec4<f32>();
  var sl4 = vec4<f32>();
  var sr4 = vec4<f32>();
  var sl5 = vec4<f32>();
  var sr5 = vec4<f32>();
  var sl6 = vec4<f32>();
  var sr6 = vec4<f32>();
  var sl7 = vec4<f32>();
  var sr7 = vec4<f32>();
  for (var d = 0u; d < params.size; d++) {
    let bl = vec4<f32>(f32(k[left.x]), f32(k[left.y]), f32(k[left.z]), f32(k[left.w]));
    let br = vec4<f32>(f32(k[right.x]), f32(k[right.y]), f32(k[right.z]), f32(k[right.w]));
    let at = vec4<f32>(f32(q[top.x]), f32(q[top.y]), f32(q[top.z]), f32(q[top.w]));
    let ab = vec4<f32>(f32(q[bottom.x]), f32(q[bottom.y]), f32(q[bottom.z]), f32(q[bottom.w]));
    sl0 += at.x * bl;
    sr0 += at.x * br;
    sl1 += at.y * bl;
    sr1 += at.y * br;
    sl2 += at.z * bl;
    sr2 += at.z * br;
    sl3 += at.w * bl;
    sr3 += at.w * br;
    sl4 += ab.x * bl;
    sr4 += ab.x * br;
    sl5 += ab.y * bl;
    sr5 += ab.y * br;
    sl6 += ab.z * bl;
    sr6 += ab.z * br;
    sl7 += ab.w * bl;
    sr7 += ab.w * br;
    top += params.qColumn;
    bottom += params.qColumn;
    left += params.kColumn;
    right += params.kColumn;
  }
  var dl0 = vec4<f32>();
  var dr0 = vec4<f32>();
  var dl1 = vec4<f32>();
  var dr1 = vec4<f32>();
  var dl2 = vec4<f32>();
  var dr2 = vec4<f32>();
  var dl3 = vec4<f32>();
  var dr3 = vec4<f32>();
  var dl4 = vec4<f32>();
  var dr4 = vec4<f32>();
  var dl5 = vec4<f32>();
  var dr5 = vec4<f32>();
  var dl6 = vec4<f32>();
  var dr6 = vec4<f32>();
  var dl7 = vec4<f32>();
  var dr7 = vec4<f32>();
  if (GRADIENT) {
    top = headOf(pair, params.gOffset, params.gBatch, params.gHead) + r0 * params.gRow;
    bottom = headOf(pair, params.gOffset, params.gBatch, params.gHead) + r1 * params.gRow;
    left = headOf(pair, params.vOffset, params.vBatch, params.vHead) + k0 * params.vRow;
    right = headOf(pair, params.vOffset, params.vBatch, params.vHead) + k1 * params.vRow;
    for (var d = 0u; d < params.size; d++) {
      let bl = vec4<f32>(f32(v[left.x]), f32(v[left.y]), f32(v[left.z]), f32(v[left.w]));
      let br = vec4<f32>(f32(v[right.x]), f32(v[right.y]), f32(v[right.z]), f32(v[right.w]));
      let at = vec4<f32>(f32(g[top.x]), f32(g[top.y]), f32(g[top.z]), f32(g[top.w]));
      let ab = vec4<f32>(f32(g[bottom.x]), f32(g[bottom.y]), f32(g[bottom.z]), f32(g[bottom.w]));
      dl0 += at.x * bl;
      dr0 += at.x * br;
      dl1 += at.y * bl;
      dr1 += at.y * br;
      dl2 += at.z * bl;
      dr2 += at.z * br;
      dl3 += at.w * bl;
      dr3 += at.w * br;
      dl4 += ab.x * bl;
      dr4 += ab.x * br;
      dl5 += ab.y * bl;
      dr5 += ab.y * br;
      dl6 += ab.z * bl;
      dr6 += ab.z * br;
      dl7 += ab.w * bl;
      dr7 += ab.w * br;
      top += params.gColumn;
      bottom += params.gColumn;
      left += params.vColumn;
      right += params.vColumn;
    }
  }
  store(pair, row + 0u, key, seen, sl0, sr0, dl0, dr0);
  store(pair, row + 1u, key, seen, sl1, sr1, dl1, dr1);
  store(pair, row + 2u, key, seen, sl2, sr2, dl2, dr2);
  store(pair, row + 3u, key, seen, sl3, sr3, dl3, dr3);
  store(pair, row + 4u, key, seen, sl4, sr4, dl4, dr4);
  store(pair, row + 5u, key, seen, sl5, sr5, dl5, dr5);
  store(pair, row + 6u, key, seen, sl6, sr6, dl6, dr6);
  store(pair, row + 7u, key, seen, sl7, sr7, dl7, dr7);
}
