// The weights of one head after another, for adapters that run shaders on the CPU: an 8 x 8 block of scores a thread,
// straight from memory and written out row by row, as in matmul_register.wgsl.
// Forward (GRADIENT false) it stores the scores, scaled and masked, in `weights` [pairs, queries, keys]. Backward it makes
// the scores again and from them, the statistics and a second product g v^T the weights, dropped as in the forward pass, and
// in `slopes` the gradients of the scores before they were scaled.
// Parameters and functions: attention_params.wgsl, which stands in front.
@group(0) @binding(1) var<storage, read> q: array<Element>;
@group(0) @binding(2) var<storage, read> k: array<Element>;
@group(0) @binding(3) var<storage, read> v: array<Element>;
@group(0) @binding(4) var<storage, read> g: array<Element>;
@group(0) @binding(5) var<storage, read> visible: array<u32>;
@group(0) @binding(6) var<storage, read> statistics: array<u32>;
@group(0) @binding(7) var<storage, read_write> weights: array<f32>;
@group(0) @binding(8) var<storage, read_write> slopes: array<f32>;

fn putWeights(at: u32, key: u32, x: vec4<f32>) {
  weights[at] = x.x;
  if (key + 1u < params.keys) { weights[at + 1u] = x.y; }
  if (key + 2u < params.keys) { weights[at + 2u] = x.z; }
  if (key + 3u < params.keys) { weights[at + 3u] = x.w; }
}

fn putSlopes(at: u32, key: u32, x: vec4<f32>) {
  slopes[at] = x.x;
  if (key + 1u < params.keys) { slopes[at + 1u] = x.y; }
  if (key + 2u < params.keys) { slopes[at + 2u] = x.z; }
  if (key + 3u < params.keys) { slopes[at + 3u] = x.w; }
}

// Four scores of a row: the products, and what the gradient of the output says of them.
fn storeFour(pair: u32, row: u32, key: u32, seen: vec4<bool>, step: u32, products: vec4<f32>, gains: vec4<f32>) {
  if (key >= params.keys) { return; }
  let at = ((pair - params.first) * params.queries + row) * params.keys + key;
  let scores = products * params.scale;
  let later = vec4<u32>(key) + vec4<u32>(0u, 1u, 2u, 3u) > vec4<u32>(row);
  if (!GRADIENT) {
    var x = select(vec4<f32>(HIDDEN), scores, seen);
    if (CAUSAL) { x = select(x, vec4<f32>(LOWEST), later); }
    putWeights(at, key, x);
    return;
  }
  let own = 2u * (pair * params.queries + row);
  let logSum = bitcast<f32>(statistics[own]);
  let delta = bitcast<f32>(statistics[own + 1u]);
  let shifted = scores - logSum;
  let isNumber = (bitcast<vec4<u32>>(shifted) & vec4<u32>(0x7fffffffu)) <= vec4<u32>(0x7f800000u);
  var x = select(vec4<f32>(), select(shifted, exp(shifted), isNumber), seen);
  if (logSum < -1e38) { x = vec4<f32>(weightOf(0.0, logSum, row, false)); }
  if (CAUSAL) { x = select(x, vec4<f32>(), later); }
  var keep = vec4<f32>(1.0);
  if (DROPS) {
    keep = keepFour(firstDraw(pair, row), key, drawStream(step));
  }
  putWeights(at, key, x * keep);
  putSlopes(at, key, select(vec4<f32>(), x * (gains * keep - delta) * params.scale, seen));
}

// One row of the block.
fn store(pair: u32, row: u32, key: u32, marks: vec2<u32>, s0: vec4<f32>, s1: vec4<f32>, d0: vec4<f32>, d1: vec4<f32>) {
  if (row >= params.queries) { return; }
  let bits = vec4<u32>(1u, 2u, 4u, 8u);
  storeFour(pair, row, key, (vec4<u32>(marks.x) & bits) != vec4<u32>(), marks.y, s0, d0);
  storeFour(pair, row, key + 4u, (vec4<u32>(marks.x >> 4u) & bits) != vec4<u32>(), marks.y, s1, d1);
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
  var seen = 255u;
  if (MASKED) {
    seen = 0u;
    let origin = params.visibleOffset + (pair / params.heads) * params.visibleBatch;
    for (var j = 0u; j < 8u; j++) {
      seen |= select(0u, 1u << j, visible[origin + min(key + j, params.keys - 1u) * params.visibleKey] != 0u);
    }
  }
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
  var marks = vec2<u32>(seen, 0u);
  if (DROPS && GRADIENT) { marks.y = statistics[2u * params.pairs * params.queries]; }
  store(pair, row + 0u, key, marks, sl0, sr0, dl0, dr0);
  store(pair, row + 1u, key, marks, sl1, sr1, dl1, dr1);
  store(pair, row + 2u, key, marks, sl2, sr2, dl2, dr2);
  store(pair, row + 3u, key, marks, sl3, sr3, dl3, dr3);
  store(pair, row + 4u, key, marks, sl4, sr4, dl4, dr4);
  store(pair, row + 5u, key, marks, sl5, sr5, dl5, dr5);
  store(pair, row + 6u, key, marks, sl6, sr6, dl6, dr6);
  store(pair, row + 7u, key, marks, sl7, sr7, dl7, dr7);
}
