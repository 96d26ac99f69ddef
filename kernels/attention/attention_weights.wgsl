// The weights of one head after another, for adapters that run shaders on the CPU: what attention_scores.wgsl and
// attention_scores_broadcast.wgsl make of products, which they compute straight from memory.
// Forward (GRADIENT false) the scores, scaled and masked, are stored in `weights` [pairs, queries, keys]. Backward the scores are
// made again and from them, the statistics and a second product g v^T the weights, dropped as in the forward pass, and in
// `slopes` the gradients of the scores before they were scaled.
// Parameters and functions: attention_params.wgsl, which stands in front.
@group(0) @binding(1) var<storage, read> q: array<Element>;
@group(0) @binding(2) var<storage, read> k: array<Element>;
@group(0) @binding(3) var<storage, read> v: array<Element>;
@group(0) @binding(4) var<storage, read> g: array<Element>;
@group(0) @binding(5) var<storage, read> visible: array<u32>;
@group(0) @binding(6) var<storage, read> statistics: array<u32>;
@group(0) @binding(7) var<storage, read_write> weights: array<f32>;
@group(0) @binding(8) var<storage, read_write> slopes: array<f32>;

// Which of the two products is being made: of queries and keys, or of the gradients and values (see lib/register_product.wgsl
// and lib/broadcast_product.wgsl, one of which stands behind).
var<private> ofGradients: bool;

fn aAt(at: u32) -> f32 {
  if (ofGradients) { return f32(g[at]); }
  return f32(q[at]);
}

fn bAt(at: u32) -> f32 {
  if (ofGradients) { return f32(v[at]); }
  return f32(k[at]);
}

fn rowsOf(pair: u32) -> Side {
  if (ofGradients) {
    return Side(headOf(pair, params.gOffset, params.gBatch, params.gHead), params.gRow, params.gColumn, params.queries);
  }
  return Side(headOf(pair, params.qOffset, params.qBatch, params.qHead), params.qRow, params.qColumn, params.queries);
}

fn columnsOf(pair: u32) -> Side {
  if (ofGradients) {
    return Side(headOf(pair, params.vOffset, params.vBatch, params.vHead), params.vRow, params.vColumn, params.keys);
  }
  return Side(headOf(pair, params.kOffset, params.kBatch, params.kHead), params.kRow, params.kColumn, params.keys);
}

fn putWeights(at: u32, key: u32, x: vec4<f32>) {
  for (var j = 0u; j < min(4u, params.keys - key); j++) { weights[at + j] = x[j]; }
}

fn putSlopes(at: u32, key: u32, x: vec4<f32>) {
  for (var j = 0u; j < min(4u, params.keys - key); j++) { slopes[at + j] = x[j]; }
}

// A row of scores: where its weights begin, and what is known of it.
struct Place {
  row: u32,
  weights: u32,
  logSum: f32,
  delta: f32,
  firstDraw: vec2<u32>,
  stream: vec2<u32>,
}

fn placeOf(pair: u32, row: u32) -> Place {
  var at: Place;
  at.row = row;
  at.weights = ((pair - params.first) * params.queries + row) * params.keys;
  if (GRADIENT) {
    let own = 2u * (pair * params.queries + row);
    at.logSum = bitcast<f32>(statistics[own]);
    at.delta = bitcast<f32>(statistics[own + 1u]);
    if (DROPS) {
      at.firstDraw = firstDraw(pair, row);
      at.stream = drawStream(statistics[2u * params.pairs * params.queries]);
    }
  }
  return at;
}

// A bit for each of `count` keys, `key` the first, 32 at most: whether it is seen.
fn seenFrom(pair: u32, key: u32, count: u32) -> u32 {
  if (!MASKED) { return 0xffffffffu; }
  var seen = 0u;
  let origin = params.visibleOffset + (pair / params.heads) * params.visibleBatch;
  for (var j = 0u; j < count; j++) {
    seen |= select(0u, 1u << j, visible[origin + min(key + j, params.keys - 1u) * params.visibleKey] != 0u);
  }
  return seen;
}

// Four scores of a row: the bits of what is seen, the products, and what the gradient of the output says of them.
fn storeFour(at: Place, key: u32, marks: u32, products: vec4<f32>, gains: vec4<f32>) {
  if (key >= params.keys) { return; }
  let seen = (vec4<u32>(marks) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>();
  let scores = products * params.scale;
  let later = vec4<u32>(key) + vec4<u32>(0u, 1u, 2u, 3u) > vec4<u32>(at.row);
  if (!GRADIENT) {
    var x = select(vec4<f32>(HIDDEN), scores, seen);
    if (CAUSAL) { x = select(x, vec4<f32>(LOWEST), later); }
    putWeights(at.weights + key, key, x);
    return;
  }
  let shifted = scores - at.logSum;
  let isNumber = (bitcast<vec4<u32>>(shifted) & vec4<u32>(0x7fffffffu)) <= vec4<u32>(0x7f800000u);
  var x = select(vec4<f32>(), select(shifted, exp(shifted), isNumber), seen);
  if (at.logSum < -1e38) { x = vec4<f32>(weightOf(0.0, at.logSum, at.row, false)); }
  if (CAUSAL) { x = select(x, vec4<f32>(), later); }
  var keep = vec4<f32>(1.0);
  if (DROPS) {
    keep = keepFour(at.firstDraw, key, at.stream);
  }
  putWeights(at.weights + key, key, x * keep);
  putSlopes(at.weights + key, key, select(vec4<f32>(), x * (gains * keep - at.delta) * params.scale, seen));
}
