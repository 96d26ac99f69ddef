// As attention_scores.wgsl, where there are subgroups (lib/broadcast_product.wgsl, which stands in front with
// attention_weights.wgsl): 8 rows of COLUMNS keys a thread. In front: PRODUCTS, 2 where GRADIENT, else 1.

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

// One side of a product: where it begins, and how far apart its rows and their elements are.
struct Side {
  base: u32,
  row: u32,
  column: u32,
}

// Leaves the products of a thread's rows, the first of them `row`, with the keys that begin at `key` in made, where `first` says.
// What is past the edge reads the last one.
fn multiply(lane: u32, row: u32, key: u32, a: Side, b: Side, first: u32) {
  let lastRow = vec4<u32>(params.queries - 1u);
  let steps = vec4<u32>(0u, 1u, 2u, 3u) * SUBGROUP;
  let top = a.base + min(row + steps, lastRow) * a.row;
  let bottom = a.base + min(row + 4u * SUBGROUP + steps, lastRow) * a.row;
  var columns = array<u32, LOADS>();
  for (var i = 0u; i < LOADS; i++) { // unroll
    columns[i] = b.base + min(key + i * SUBGROUP + lane, params.keys - 1u) * b.row;
  }
  var upper = Sums();
  var lower = Sums();
  addProducts(&upper, &lower, allThere(top), allThere(bottom), a.column, columns, b.column, params.size);
  keepByRows(first, &upper, &lower);
}

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let pair = params.first + group.z;
  let row = group.y * 8u * SUBGROUP + lane;
  let key = group.x * COLUMNS;
  var seen = array<u32, FOURS>();
  for (var i = 0u; i < FOURS; i++) { // unroll
    seen[i] = 15u;
  }
  if (MASKED) {
    let origin = params.visibleOffset + (pair / params.heads) * params.visibleBatch;
    for (var i = 0u; i < FOURS; i++) { // unroll
      seen[i] = 0u;
      for (var j = 0u; j < 4u; j++) { // unroll
        let column = min(key + 4u * i + j, params.keys - 1u);
        seen[i] |= select(0u, 1u << j, visible[origin + column * params.visibleKey] != 0u);
      }
    }
  }
  let mine = lane * 8u * FOURS;
  let queries = Side(headOf(pair, params.qOffset, params.qBatch, params.qHead), params.qRow, params.qColumn);
  let keys = Side(headOf(pair, params.kOffset, params.kBatch, params.kHead), params.kRow, params.kColumn);
  ofGradients = false;
  multiply(lane, row, key, queries, keys, mine);
  let gains = select(mine, SUBGROUP * 8u * FOURS + mine, GRADIENT);
  if (GRADIENT) {
    let grads = Side(headOf(pair, params.gOffset, params.gBatch, params.gHead), params.gRow, params.gColumn);
    let values = Side(headOf(pair, params.vOffset, params.vBatch, params.vHead), params.vRow, params.vColumn);
    ofGradients = true;
    multiply(lane, row, key, grads, values, gains);
  }
  let bits = vec4<u32>(1u, 2u, 4u, 8u);
  for (var i = 0u; i < 8u; i++) {
    let ownRow = row + i * SUBGROUP;
    if (ownRow >= params.queries) { break; }
    let at = placeOf(pair, ownRow);
    for (var four = 0u; four < FOURS; four++) {
      let visibleFour = (vec4<u32>(seen[four]) & bits) != vec4<u32>();
      storeFour(at, key + 4u * four, visibleFour, made[mine + i * FOURS + four], made[gains + i * FOURS + four]);
    }
  }
}
