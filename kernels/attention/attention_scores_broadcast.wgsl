// As attention_scores.wgsl, where there are subgroups (lib/broadcast_product.wgsl, which stands in front with
// attention_weights.wgsl): 8 rows of COLUMNS keys a thread, 32 at most. In front: PRODUCTS, 2 where GRADIENT, else 1.

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let pair = params.first + group.z;
  let row = group.y * 8u * SUBGROUP + lane;
  let key = group.x * COLUMNS;
  let seen = seenFrom(pair, key, COLUMNS);
  let mine = lane * 8u * FOURS;
  ofGradients = false;
  multiply(lane, row, key, rowsOf(pair), columnsOf(pair), params.size, mine);
  let gains = select(mine, SUBGROUP * 8u * FOURS + mine, GRADIENT);
  if (GRADIENT) {
    ofGradients = true;
    multiply(lane, row, key, rowsOf(pair), columnsOf(pair), params.size, gains);
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
