// For each row of x [rows, dimension]: the index of the nearest row of codebook [codes, dimension] by Euclidean
// distance (the first one on ties), and what is left of x after subtracting it. The threads of a row share the codes among
// them.
// In front: LANES and ROWS, the threads that share a row and the rows a workgroup.
struct Params {
  rows: u32,
  dimension: u32,
  codes: u32,
  xOffset: u32,
  codebookOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> codebook: array<f32>;
@group(0) @binding(3) var<storage, read_write> indices: array<i32>;
@group(0) @binding(4) var<storage, read_write> residual: array<f32>;

@compute @workgroup_size(LANES * ROWS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let ownRow = (group.x + group.y * groups.x) * ROWS + thread / LANES;
  let row = min(ownRow, params.rows - 1u);
  let start = params.xOffset + row * params.dimension;
  var best = 3.4028234e38;
  var winner = 0xffffffffu;
  for (var code = thread % LANES; code < params.codes; code += LANES) {
    let at = params.codebookOffset + code * params.dimension;
    var distance = 0.0;
    for (var d = 0u; d < params.dimension; d++) {
      let difference = x[start + d] - codebook[at + d];
      distance += difference * difference;
    }
    if (distance < best) {
      best = distance;
      winner = code;
    }
  }
  // Distances are not negative, so that their bits are in order; the lower code wins.
  let all = rowReduce(thread, vec2<u32>(bitcast<u32>(best), winner));
  if (ownRow >= params.rows) { return; }
  // A row of NaNs is near nothing: it takes code 0 and its residual stays NaN.
  let code = select(all.y, 0u, all.y == 0xffffffffu);
  if (thread % LANES == 0u) { indices[row] = i32(code); }
  for (var d = thread % LANES; d < params.dimension; d += LANES) {
    residual[row * params.dimension + d] = x[start + d] - codebook[params.codebookOffset + code * params.dimension + d];
  }
}
