// As attention_sums.wgsl, for adapters that run shaders on the CPU and have subgroups (lib/broadcast_product.wgsl).
// Parameters and functions: attention_params.wgsl, which stands in front with that.
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<Element>;
@group(0) @binding(3) var<storage, read> reciprocals: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<Element>;

fn aAt(at: u32) -> f32 { return weights[at]; }
fn bAt(at: u32) -> f32 { return f32(b[at]); }

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let rows = select(params.queries, params.keys, TRANSPOSED);
  let terms = select(params.keys, params.queries, TRANSPOSED);
  let row = group.y * 8u * SUBGROUP + lane;
  let column = group.x * COLUMNS;
  let pair = params.first + group.z;
  let rowStep = select(params.keys, 1u, TRANSPOSED);
  let termStep = select(1u, params.keys, TRANSPOSED);
  let mine = lane * 8u * FOURS;
  let weighed = Side(group.z * params.queries * params.keys, rowStep, termStep, rows);
  let summed = Side(headOf(pair, params.vOffset, params.vBatch, params.vHead), params.vColumn, params.vRow, SIZE);
  // Rows and columns past the edge are not stored.
  multiply(lane, row, column, weighed, summed, terms, mine);
  let fours = foursOf(params.size - column);
  for (var i = 0u; i < 8u; i++) {
    let ownRow = row + i * SUBGROUP;
    if (ownRow >= rows) { break; }
    var factor = 1.0;
    if (FORWARD) { factor = reciprocals[group.z * rows + ownRow]; }
    let at = outputRow(pair, rows, ownRow) + column;
    for (var q = 0u; q < fours; q++) {
      let first = 4u * q;
      let sums = made[mine + i * FOURS + q] * factor;
      for (var j = 0u; j < min(4u, SIZE - column - first); j++) { out[at + first + j] = Element(sums[j]); }
    }
  }
}
