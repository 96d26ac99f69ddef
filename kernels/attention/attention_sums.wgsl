// The sums over keys or queries that use the weights of attention_scores.wgsl, an 8 x 8 block a thread: out = w b,
// or out = w^T b where TRANSPOSED, with b one of q, k, v and g, found by the parameters of v. Rows of the forward output
// (FORWARD) are divided by their sums, whose reciprocals are in `reciprocals`.
// Parameters and functions: attention_params.wgsl, which stands in front with lib/register_product.wgsl.
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<Element>;
@group(0) @binding(3) var<storage, read> reciprocals: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<Element>;

fn aAt(at: u32) -> f32 { return weights[at]; }
fn bAt(at: u32) -> f32 { return f32(b[at]); }

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(8u, 8u, 1u);
  let rows = select(params.queries, params.keys, TRANSPOSED);
  let terms = select(params.keys, params.queries, TRANSPOSED);
  let row = id.y * 8u;
  let column = id.x * 8u;
  if (row >= rows || column >= SIZE) { return; }
  let pair = params.first + id.z;
  let rowStep = select(params.keys, 1u, TRANSPOSED);
  let termStep = select(1u, params.keys, TRANSPOSED);
  let weighed = Side(id.z * params.queries * params.keys, rowStep, termStep, rows);
  let summed = Side(headOf(pair, params.vOffset, params.vBatch, params.vHead), params.vColumn, params.vRow, SIZE);
  var sums = Sums();
  multiply(&sums, row, column, weighed, summed, terms);
  // Rows and columns past the edge are not stored.
  for (var i = 0u; i < 16u; i++) {
    let ownRow = row + i / 2u;
    let first = column + 4u * (i % 2u);
    if (ownRow >= rows) { break; }
    if (first >= SIZE) { continue; }
    var factor = 1.0;
    if (FORWARD) { factor = reciprocals[id.z * rows + ownRow]; }
    let fours = foursAt(&sums, i) * factor;
    let at = outputRow(pair, rows, ownRow) + first;
    for (var j = 0u; j < min(4u, SIZE - first); j++) { out[at + j] = Element(fours[j]); }
  }
}
