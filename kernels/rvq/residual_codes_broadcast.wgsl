// Residual codes as residual_codes_tiled makes them, for adapters that run shaders on the CPU: a subgroup works alone, without
// barriers. Each of its threads has 8 rows and compares them to 32 codes at a time. A load costs such an adapter as much as
// twenty multiplications; so the threads load different entries and hand them round by subgroupBroadcast, and a block of
// 8 x 32 products costs 12 loads with subgroups of 8. Written out, because arrays that are indexed by a loop leave the
// registers.
// codes [stages, rows]; residual [rows, dimension], or [stages, rows, dimension] where `kept` is 1.
// In front: SUBGROUP, the size of every subgroup, 4 to 32.
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

const BLOCK = 32u;
const LOADS = BLOCK / SUBGROUP;

alias Held = array<f32, 8>;

// What the threads of the subgroup load together: values `at` to `at` + 31, from entries or halves.
fn loadEntries(at: u32) -> Held {
  var held = Held();
  if (LOADS > 0u) { held[0] = entries[at + 0u * SUBGROUP]; }
  if (LOADS > 1u) { held[1] = entries[at + 1u * SUBGROUP]; }
  if (LOADS > 2u) { held[2] = entries[at + 2u * SUBGROUP]; }
  if (LOADS > 3u) { held[3] = entries[at + 3u * SUBGROUP]; }
  if (LOADS > 4u) { held[4] = entries[at + 4u * SUBGROUP]; }
  if (LOADS > 5u) { held[5] = entries[at + 5u * SUBGROUP]; }
  if (LOADS > 6u) { held[6] = entries[at + 6u * SUBGROUP]; }
  if (LOADS > 7u) { held[7] = entries[at + 7u * SUBGROUP]; }
  return held;
}

fn loadHalves(at: u32) -> Held {
  var held = Held();
  if (LOADS > 0u) { held[0] = halves[at + 0u * SUBGROUP]; }
  if (LOADS > 1u) { held[1] = halves[at + 1u * SUBGROUP]; }
  if (LOADS > 2u) { held[2] = halves[at + 2u * SUBGROUP]; }
  if (LOADS > 3u) { held[3] = halves[at + 3u * SUBGROUP]; }
  if (LOADS > 4u) { held[4] = halves[at + 4u * SUBGROUP]; }
  if (LOADS > 5u) { held[5] = halves[at + 5u * SUBGROUP]; }
  if (LOADS > 6u) { held[6] = halves[at + 6u * SUBGROUP]; }
  if (LOADS > 7u) { held[7] = halves[at + 7u * SUBGROUP]; }
  return held;
}

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

fn outer(a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(a * b.x, a * b.y, a * b.z, a * b.w);
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
    for (var base = 0u; base < params.padded; base += BLOCK) {
      var l0 = mat4x4<f32>();
      var h0 = mat4x4<f32>();
      var l1 = mat4x4<f32>();
      var h1 = mat4x4<f32>();
      var l2 = mat4x4<f32>();
      var h2 = mat4x4<f32>();
      var l3 = mat4x4<f32>();
      var h3 = mat4x4<f32>();
      var l4 = mat4x4<f32>();
      var h4 = mat4x4<f32>();
      var l5 = mat4x4<f32>();
      var h5 = mat4x4<f32>();
      var l6 = mat4x4<f32>();
      var h6 = mat4x4<f32>();
      var l7 = mat4x4<f32>();
      var h7 = mat4x4<f32>();
      for (var d = 0u; d < params.dimension; d++) {
        let held = loadEntries((stage * params.dimension + d) * params.padded + base + lane);
        let t = vec4<f32>(residual[top.x + d], residual[top.y + d], residual[top.z + d], residual[top.w + d]);
        let b = vec4<f32>(residual[bottom.x + d], residual[bottom.y + d], residual[bottom.z + d], residual[bottom.w + d]);
        let e0 = vec4<f32>(
          subgroupBroadcast(held[0u / SUBGROUP], 0u % SUBGROUP),
          subgroupBroadcast(held[1u / SUBGROUP], 1u % SUBGROUP),
          subgroupBroadcast(held[2u / SUBGROUP], 2u % SUBGROUP),
          subgroupBroadcast(held[3u / SUBGROUP], 3u % SUBGROUP),
        );
        l0 += outer(t, e0);
        h0 += outer(b, e0);
        let e1 = vec4<f32>(
          subgroupBroadcast(held[4u / SUBGROUP], 4u % SUBGROUP),
          subgroupBroadcast(held[5u / SUBGROUP], 5u % SUBGROUP),
          subgroupBroadcast(held[6u / SUBGROUP], 6u % SUBGROUP),
          subgroupBroadcast(held[7u / SUBGROUP], 7u % SUBGROUP),
        );
        l1 += outer(t, e1);
        h1 += outer(b, e1);
        let e2 = vec4<f32>(
          subgroupBroadcast(held[8u / SUBGROUP], 8u % SUBGROUP),
          subgroupBroadcast(held[9u / SUBGROUP], 9u % SUBGROUP),
          subgroupBroadcast(held[10u / SUBGROUP], 10u % SUBGROUP),
          subgroupBroadcast(held[11u / SUBGROUP], 11u % SUBGROUP),
        );
        l2 += outer(t, e2);
        h2 += outer(b, e2);
        let e3 = vec4<f32>(
          subgroupBroadcast(held[12u / SUBGROUP], 12u % SUBGROUP),
          subgroupBroadcast(held[13u / SUBGROUP], 13u % SUBGROUP),
          subgroupBroadcast(held[14u / SUBGROUP], 14u % SUBGROUP),
          subgroupBroadcast(held[15u / SUBGROUP], 15u % SUBGROUP),
        );
        l3 += outer(t, e3);
        h3 += outer(b, e3);
        let e4 = vec4<f32>(
          subgroupBroadcast(held[16u / SUBGROUP], 16u % SUBGROUP),
          subgroupBroadcast(held[17u / SUBGROUP], 17u % SUBGROUP),
          subgroupBroadcast(held[18u / SUBGROUP], 18u % SUBGROUP),
          subgroupBroadcast(held[19u / SUBGROUP], 19u % SUBGROUP),
        );
        l4 += outer(t, e4);
        h4 += outer(b, e4);
        let e5 = vec4<f32>(
          subgroupBroadcast(held[20u / SUBGROUP], 20u % SUBGROUP),
          subgroupBroadcast(held[21u / SUBGROUP], 21u % SUBGROUP),
          subgroupBroadcast(held[22u / SUBGROUP], 22u % SUBGROUP),
          subgroupBroadcast(held[23u / SUBGROUP], 23u % SUBGROUP),
        );
        l5 += outer(t, e5);
        h5 += outer(b, e5);
        let e6 = vec4<f32>(
          subgroupBroadcast(held[24u / SUBGROUP], 24u % SUBGROUP),
          subgroupBroadcast(held[25u / SUBGROUP], 25u % SUBGROUP),
          subgroupBroadcast(held[26u / SUBGROUP], 26u % SUBGROUP),
          subgroupBroadcast(held[27u / SUBGROUP], 27u % SUBGROUP),
        );
        l6 += outer(t, e6);
        h6 += outer(b, e6);
        let e7 = vec4<f32>(
          subgroupBroadcast(held[28u / SUBGROUP], 28u % SUBGROUP),
          subgroupBroadcast(held[29u / SUBGROUP], 29u % SUBGROUP),
          subgroupBroadcast(held[30u / SUBGROUP], 30u % SUBGROUP),
          subgroupBroadcast(held[31u / SUBGROUP], 31u % SUBGROUP),
        );
        l7 += outer(t, e7);
        h7 += outer(b, e7);
      }
      let held = loadHalves(stage * params.padded + base + lane);
      let half0 = vec4<f32>(
        subgroupBroadcast(held[0u / SUBGROUP], 0u % SUBGROUP),
        subgroupBroadcast(held[1u / SUBGROUP], 1u % SUBGROUP),
        subgroupBroadcast(held[2u / SUBGROUP], 2u % SUBGROUP),
        subgroupBroadcast(held[3u / SUBGROUP], 3u % SUBGROUP),
      );
      low = consider(low, half0, l0, base + 0u);
      high = consider(high, half0, h0, base + 0u);
      let half1 = vec4<f32>(
        subgroupBroadcast(held[4u / SUBGROUP], 4u % SUBGROUP),
        subgroupBroadcast(held[5u / SUBGROUP], 5u % SUBGROUP),
        subgroupBroadcast(held[6u / SUBGROUP], 6u % SUBGROUP),
        subgroupBroadcast(held[7u / SUBGROUP], 7u % SUBGROUP),
      );
      low = consider(low, half1, l1, base + 4u);
      high = consider(high, half1, h1, base + 4u);
      let half2 = vec4<f32>(
        subgroupBroadcast(held[8u / SUBGROUP], 8u % SUBGROUP),
        subgroupBroadcast(held[9u / SUBGROUP], 9u % SUBGROUP),
        subgroupBroadcast(held[10u / SUBGROUP], 10u % SUBGROUP),
        subgroupBroadcast(held[11u / SUBGROUP], 11u % SUBGROUP),
      );
      low = consider(low, half2, l2, base + 8u);
      high = consider(high, half2, h2, base + 8u);
      let half3 = vec4<f32>(
        subgroupBroadcast(held[12u / SUBGROUP], 12u % SUBGROUP),
        subgroupBroadcast(held[13u / SUBGROUP], 13u % SUBGROUP),
        subgroupBroadcast(held[14u / SUBGROUP], 14u % SUBGROUP),
        subgroupBroadcast(held[15u / SUBGROUP], 15u % SUBGROUP),
      );
      low = consider(low, half3, l3, base + 12u);
      high = consider(high, half3, h3, base + 12u);
      let half4 = vec4<f32>(
        subgroupBroadcast(held[16u / SUBGROUP], 16u % SUBGROUP),
        subgroupBroadcast(held[17u / SUBGROUP], 17u % SUBGROUP),
        subgroupBroadcast(held[18u / SUBGROUP], 18u % SUBGROUP),
        subgroupBroadcast(held[19u / SUBGROUP], 19u % SUBGROUP),
      );
      low = consider(low, half4, l4, base + 16u);
      high = consider(high, half4, h4, base + 16u);
      let half5 = vec4<f32>(
        subgroupBroadcast(held[20u / SUBGROUP], 20u % SUBGROUP),
        subgroupBroadcast(held[21u / SUBGROUP], 21u % SUBGROUP),
        subgroupBroadcast(held[22u / SUBGROUP], 22u % SUBGROUP),
        subgroupBroadcast(held[23u / SUBGROUP], 23u % SUBGROUP),
      );
      low = consider(low, half5, l5, base + 20u);
      high = consider(high, half5, h5, base + 20u);
      let half6 = vec4<f32>(
        subgroupBroadcast(held[24u / SUBGROUP], 24u % SUBGROUP),
        subgroupBroadcast(held[25u / SUBGROUP], 25u % SUBGROUP),
        subgroupBroadcast(held[26u / SUBGROUP], 26u % SUBGROUP),
        subgroupBroadcast(held[27u / SUBGROUP], 27u % SUBGROUP),
      );
      low = consider(low, half6, l6, base + 24u);
      high = consider(high, half6, h6, base + 24u);
      let half7 = vec4<f32>(
        subgroupBroadcast(held[28u / SUBGROUP], 28u % SUBGROUP),
        subgroupBroadcast(held[29u / SUBGROUP], 29u % SUBGROUP),
        subgroupBroadcast(held[30u / SUBGROUP], 30u % SUBGROUP),
        subgroupBroadcast(held[31u / SUBGROUP], 31u % SUBGROUP),
      );
      low = consider(low, half7, l7, base + 28u);
      high = consider(high, half7, h7, base + 28u);
    }
    for (var i = 0u; i < 4u; i++) {
      finish(stage, first + i * SUBGROUP, low.codes[i]);
      finish(stage, first + (4u + i) * SUBGROUP, high.codes[i]);
    }
  }
}
