// An 8 x 8 block of scores a thread (lib/register_product.wgsl, which stands in front with attention_weights.wgsl).

// Which of the two products is being made.
var<private> ofGradients: bool;

fn aAt(at: u32) -> f32 {
  if (ofGradients) { return f32(g[at]); }
  return f32(q[at]);
}

fn bAt(at: u32) -> f32 {
  if (ofGradients) { return f32(v[at]); }
  return f32(k[at]);
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(8u, 8u, 1u);
  let row = id.y * 8u;
  let key = id.x * 8u;
  if (row >= params.queries || key >= params.keys) { return; }
  let pair = params.first + id.z;
  let seen = seenFrom(pair, key, 8u);
  let queries = Side(headOf(pair, params.qOffset, params.qBatch, params.qHead), params.qRow, params.qColumn, params.queries);
  let keys = Side(headOf(pair, params.kOffset, params.kBatch, params.kHead), params.kRow, params.kColumn, params.keys);
  var scores = Sums();
  ofGradients = false;
  multiply(&scores, row, key, queries, keys, params.size);
  var gains = Sums();
  if (GRADIENT) {
    let grads = Side(headOf(pair, params.gOffset, params.gBatch, params.gHead), params.gRow, params.gColumn, params.queries);
    let values = Side(headOf(pair, params.vOffset, params.vBatch, params.vHead), params.vRow, params.vColumn, params.keys);
    ofGradients = true;
    multiply(&gains, row, key, grads, values, params.size);
  }
  // Rows and keys past the edge are not stored.
  for (var i = 0u; i < 16u; i++) {
    let ownRow = row + i / 2u;
    let first = 4u * (i % 2u);
    if (ownRow >= params.queries) { break; }
    storeFour(placeOf(pair, ownRow), key + first, seen >> first, foursAt(&scores, i), foursAt(&gains, i));
  }
}
