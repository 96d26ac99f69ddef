// An 8 x 8 block of scores a thread (lib/register_product.wgsl, which stands in front with attention_weights.wgsl).

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(8u, 8u, 1u);
  let row = id.y * 8u;
  let key = id.x * 8u;
  if (row >= params.queries || key >= params.keys) { return; }
  let pair = params.first + id.z;
  let seen = seenFrom(pair, key, 8u);
  var scores = Sums();
  ofGradients = false;
  multiply(&scores, row, key, rowsOf(pair), columnsOf(pair), params.size);
  var gains = Sums();
  if (GRADIENT) {
    ofGradients = true;
    multiply(&gains, row, key, rowsOf(pair), columnsOf(pair), params.size);
  }
  // Rows and keys past the edge are not stored.
  for (var i = 0u; i < 16u; i++) {
    let ownRow = row + i / 2u;
    let first = 4u * (i % 2u);
    if (ownRow >= params.queries) { break; }
    storeFour(placeOf(pair, ownRow), key + first, seen >> first, foursAt(&scores, i), foursAt(&gains, i));
  }
}
