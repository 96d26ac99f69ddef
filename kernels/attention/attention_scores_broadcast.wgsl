// As attention_scores.wgsl, where there are subgroups (lib/broadcast_product.wgsl, which stands in front with
// attention_weights.wgsl): 8 rows of COLUMNS keys a thread, 32 at most. In front: PRODUCTS, 2 where GRADIENT, else 1.

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

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let pair = params.first + group.z;
  let row = group.y * 8u * SUBGROUP + lane;
  let key = group.x * COLUMNS;
  let seen = seenFrom(pair, key, COLUMNS);
  let mine = lane * 8u * FOURS;
  let queries = Side(headOf(pair, params.qOffset, params.qBatch, params.qHead), params.qRow, params.qColumn, params.queries);
  let keys = Side(headOf(pair, params.kOffset, params.kBatch, params.kHead), params.kRow, params.kColumn, params.keys);
  ofGradients = false;
  multiply(lane, row, key, queries, keys, params.size, mine);
  let gains = select(mine, SUBGROUP * 8u * FOURS + mine, GRADIENT);
  if (GRADIENT) {
    let grads = Side(headOf(pair, params.gOffset, params.gBatch, params.gHead), params.gRow, params.gColumn, params.queries);
    let values = Side(headOf(pair, params.vOffset, params.vBatch, params.vHead), params.vRow, params.vColumn, params.keys);
    ofGradients = true;
    multiply(lane, row, key, grads, values, params.size, gains);
  }
  let fours = foursOf(params.keys - key);
  for (var i = 0u; i < 8u; i++) {
    let ownRow = row + i * SUBGROUP;
    if (ownRow >= params.queries) { break; }
    let at = placeOf(pair, ownRow);
    for (var four = 0u; four < fours; four++) {
      let place = i * FOURS + four;
      storeFour(at, key + 4u * four, seen >> (4u * four), made[mine + place], made[gains + place]);
    }
  }
}
