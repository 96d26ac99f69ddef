// Residual codes as residual_codes_tiled makes them, for adapters that run shaders on the CPU: a subgroup works alone, without
// barriers (lib/broadcast_product.wgsl, which stands in front). Each of its threads has 8 rows and compares them to COLUMNS codes
// at a time.
// codes [stages, rows]; residual [rows, dimension], or [stages, rows, dimension] where `kept` is 1.
// In front: SUBGROUP and COLUMNS.
struct Params {
  rows: u32,
  dimension: u32,
  padded: u32,
  stages: u32,
  kept: u32,
  xOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> entries: array<f32>;
@group(0) @binding(3) var<storage, read> halves: array<f32>;
@group(0) @binding(4) var<storage, read_write> codes: array<i32>;
@group(0) @binding(5) var<storage, read_write> residual: array<f32>;

fn aAt(at: u32) -> f32 { return residual[at]; }
fn bAt(at: u32) -> f32 { return entries[at]; }

// Of four rows: the least score so far, and the first code that has it.
struct Nearest {
  scores: vec4<f32>,
  codes: vec4<u32>,
}

fn considerOne(nearest: Nearest, scores: vec4<f32>, code: u32) -> Nearest {
  let less = scores < nearest.scores;
  return Nearest(select(nearest.scores, scores, less), select(nearest.codes, vec4<u32>(code), less));
}

fn consider(nearest: Nearest, half: vec4<f32>, products: mat4x4<f32>, code: u32) -> Nearest {
  var result = considerOne(nearest, half.x - products[0], code);
  result = considerOne(result, half.y - products[1], code + 1u);
  result = considerOne(result, half.z - products[2], code + 2u);
  return considerOne(result, half.w - products[3], code + 3u);
}

// Where a stage leaves what is left over.
fn slot(stage: u32) -> u32 { return select(0u, stage * params.rows * params.dimension, params.kept == 1u); }

// Subtracts an entry from what a row had left.
fn finish(stage: u32, row: u32, code: u32) {
  if (row >= params.rows) { return; }
  codes[stage * params.rows + row] = i32(code);
  let at = row * params.dimension;
  let source = slot(max(stage, 1u) - 1u) + at;
  let sink = slot(stage) + at;
  for (var d = 0u; d < params.dimension; d++) {
    residual[sink + d] = residual[source + d] - entries[(stage * params.dimension + d) * params.padded + code];
  }
}

@compute @workgroup_size(SUBGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let first = (group.x + group.y * groups.x) * 8u * SUBGROUP + lane;
  for (var i = 0u; i < 8u; i++) {
    let row = first + i * SUBGROUP;
    if (row < params.rows) {
      let at = row * params.dimension;
      for (var d = 0u; d < params.dimension; d++) { residual[at + d] = x[params.xOffset + at + d]; }
    }
  }
  let lastRow = vec4<u32>(params.rows - 1u);
  let steps = vec4<u32>(0u, 1u, 2u, 3u) * SUBGROUP;
  for (var stage = 0u; stage < params.stages; stage++) {
    let source = slot(max(stage, 1u) - 1u);
    let top = source + min(first + steps, lastRow) * params.dimension;
    let bottom = source + min(first + 4u * SUBGROUP + steps, lastRow) * params.dimension;
    var low = Nearest(vec4<f32>(3.4028234e38), vec4<u32>());
    var high = low;
    for (var base = 0u; base < params.padded; base += COLUMNS) {
      var columns = array<u32, LOADS>();
      for (var i = 0u; i < LOADS; i++) { // unroll
        columns[i] = stage * params.dimension * params.padded + base + i * SUBGROUP + lane;
      }
      var upper = Sums();
      var lower = Sums();
      addProducts(&upper, &lower, allThere(top), allThere(bottom), 1u, columns, params.padded, params.dimension);
      for (var q = 0u; q < FOURS; q++) { // unroll
        let code = base + 4u * q;
        let at = stage * params.padded + code;
        let half = vec4<f32>(halves[at], halves[at + 1u], halves[at + 2u], halves[at + 3u]);
        low = consider(low, half, upper[q], code);
        high = consider(high, half, lower[q], code);
      }
    }
    for (var i = 0u; i < 4u; i++) {
      finish(stage, first + i * SUBGROUP, low.codes[i]);
      finish(stage, first + (4u + i) * SUBGROUP, high.codes[i]);
    }
  }
}
