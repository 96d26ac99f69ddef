// For each row of x [rows, dimension]: the index of the nearest row of codebook [codes, dimension] by Euclidean
// distance (the first one on ties), and what is left of x after subtracting it. One workgroup a row: its lanes share
// the codes among them, and a tree picks the winner.
// In front: LANES, the threads that share a row.
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

var<workgroup> distances: array<f32, LANES>;
var<workgroup> winners: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = min(group.x + group.y * groups.x, params.rows - 1u);
  let start = params.xOffset + row * params.dimension;
  var best = 3.4028234e38;
  var winner = 0xffffffffu;
  for (var code = lane; code < params.codes; code += LANES) {
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
  distances[lane] = best;
  winners[lane] = winner;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) {
      let other = distances[lane + step];
      if (other < distances[lane] || (other == distances[lane] && winners[lane + step] < winners[lane])) {
        distances[lane] = other;
        winners[lane] = winners[lane + step];
      }
    }
    workgroupBarrier();
  }
  // A row of NaNs is near nothing: it takes code 0 and its residual stays NaN.
  let code = select(winners[0], 0u, winners[0] == 0xffffffffu);
  if (lane == 0u) { indices[row] = i32(code); }
  for (var d = lane; d < params.dimension; d += LANES) {
    residual[row * params.dimension + d] = x[start + d] - codebook[params.codebookOffset + code * params.dimension + d];
  }
}
