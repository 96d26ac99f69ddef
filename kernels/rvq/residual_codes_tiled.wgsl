// Residual codes of 16 rows a workgroup, for GPUs: in each of `stages` stages the nearest entry to what the stages before
// left over, the first one on ties, is found and subtracted. The distance is that of the product, |e|^2 / 2 - x e: the
// square of x is the same for every entry. A thread holds 16 rows x 4 neighbouring codes in registers and streams the
// entries, which codebook_prepare laid out; the rows lie in workgroup memory, 128 dimensions at a time, and stay there from
// stage to stage where those are all.
// codes [stages, rows]; residual [rows, dimension], or [stages, rows, dimension] where `kept` is 1.
// In front: LANES, the threads; rowReduce().
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
@group(0) @binding(2) var<storage, read> entries: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> halves: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> codes: array<i32>;
@group(0) @binding(5) var<storage, read_write> residual: array<f32>;

const TILE_ROWS = 16u;
const CHUNK = 128u;
const LARGEST = 3.4028234e38;

// Four rows a vector, four vectors a dimension.
var<workgroup> tile: array<vec4<f32>, CHUNK * 4u>;
var<workgroup> winners: array<u32, TILE_ROWS>;

// Where a stage leaves what is left over.
fn slot(stage: u32) -> u32 { return select(0u, stage * params.rows * params.dimension, params.kept == 1u); }

// What a stage starts from, of four neighbouring rows in one dimension.
fn load(stage: u32, row: u32, d: u32) -> vec4<f32> {
  let at = min(vec4<u32>(row) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.rows - 1u)) * params.dimension + d;
  if (stage == 0u) {
    let place = at + params.xOffset;
    return vec4<f32>(x[place.x], x[place.y], x[place.z], x[place.w]);
  }
  let place = at + slot(stage - 1u);
  return vec4<f32>(residual[place.x], residual[place.y], residual[place.z], residual[place.w]);
}

fn store(stage: u32, row: u32, d: u32, value: vec4<f32>) {
  for (var i = 0u; i < 4u; i++) { // unroll
    if (row + i < params.rows) { residual[slot(stage) + (row + i) * params.dimension + d] = value[i]; }
  }
}

fn entryOf(stage: u32, row: u32, d: u32) -> f32 {
  let at = (stage * params.dimension + d) * params.padded + winners[row];
  return entries[at / 4u][at % 4u];
}

// Of 16 rows: the least score so far, and the first code that has it.
struct Nearest {
  scores: mat4x4<f32>,
  codes: array<vec4<u32>, 4>,
}

fn consider(nearest: ptr<function, Nearest>, half: f32, products: mat4x4<f32>, code: u32) {
  for (var q = 0u; q < 4u; q++) { // unroll
    let scores = half - products[q];
    let less = scores < (*nearest).scores[q];
    (*nearest).scores[q] = select((*nearest).scores[q], scores, less);
    (*nearest).codes[q] = select((*nearest).codes[q], vec4<u32>(code), less);
  }
}

// Bits in the order of the numbers; both zeros are one.
fn ordered(score: f32) -> u32 {
  let bits = bitcast<u32>(select(score, 0.0, score == 0.0));
  return bits ^ select(0x80000000u, 0xffffffffu, bits >= 0x80000000u);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let firstRow = (group.x + group.y * groups.x) * TILE_ROWS;
  let fours = params.padded / 4u;
  let whole = params.dimension <= CHUNK;
  for (var stage = 0u; stage < params.stages; stage++) {
    var nearest = Nearest();
    nearest.scores = mat4x4<f32>(vec4<f32>(LARGEST), vec4<f32>(LARGEST), vec4<f32>(LARGEST), vec4<f32>(LARGEST));
    for (var first = 0u; first < fours; first += LANES) {
      let own = min(first + lane, fours - 1u);
      // The products of four codes with 16 rows, four a column.
      var p0 = mat4x4<f32>();
      var p1 = mat4x4<f32>();
      var p2 = mat4x4<f32>();
      var p3 = mat4x4<f32>();
      for (var start = 0u; start < params.dimension; start += CHUNK) {
        let end = min(start + CHUNK, params.dimension);
        if (!whole || (stage == 0u && first == 0u)) {
          workgroupBarrier();
          for (var i = lane; i < (end - start) * 4u; i += LANES) {
            tile[i] = load(stage, firstRow + 4u * (i % 4u), start + i / 4u);
          }
        }
        workgroupBarrier();
        let base = stage * params.dimension * fours + own;
        // Two entries ahead of the two that are multiplied.
        let last = end - 1u;
        var e0 = entries[base + start * fours];
        var e1 = entries[base + min(start + 1u, last) * fours];
        for (var d = start; d < end; d += 2u) {
          let next0 = entries[base + min(d + 2u, last) * fours];
          let next1 = entries[base + min(d + 3u, last) * fours];
          let at = (d - start) * 4u;
          let a = mat4x4<f32>(tile[at], tile[at + 1u], tile[at + 2u], tile[at + 3u]);
          p0 += a * e0.x;
          p1 += a * e0.y;
          p2 += a * e0.z;
          p3 += a * e0.w;
          if (d + 1u < end) {
            let b = mat4x4<f32>(tile[at + 4u], tile[at + 5u], tile[at + 6u], tile[at + 7u]);
            p0 += b * e1.x;
            p1 += b * e1.y;
            p2 += b * e1.z;
            p3 += b * e1.w;
          }
          e0 = next0;
          e1 = next1;
        }
      }
      if (first + lane < fours) {
        let half = halves[stage * fours + own];
        consider(&nearest, half.x, p0, 4u * own);
        consider(&nearest, half.y, p1, 4u * own + 1u);
        consider(&nearest, half.z, p2, 4u * own + 2u);
        consider(&nearest, half.w, p3, 4u * own + 3u);
      }
    }
    for (var row = 0u; row < TILE_ROWS; row++) { // unroll
      let score = nearest.scores[row / 4u][row % 4u];
      let all = rowReduce(lane, vec2<u32>(ordered(score), nearest.codes[row / 4u][row % 4u]));
      if (lane == 0u) {
        winners[row] = all.y;
        if (firstRow + row < params.rows) { codes[stage * params.rows + firstRow + row] = i32(all.y); }
      }
    }
    workgroupBarrier();
    let stored = params.kept == 1u || stage + 1u == params.stages || !whole;
    for (var i = lane; i < params.dimension * 4u; i += LANES) {
      let row = 4u * (i % 4u);
      let d = i / 4u;
      var value = vec4<f32>();
      if (whole) { value = tile[i]; } else { value = load(stage, firstRow + row, d); }
      value -= vec4<f32>(
        entryOf(stage, row, d),
        entryOf(stage, row + 1u, d),
        entryOf(stage, row + 2u, d),
        entryOf(stage, row + 3u, d),
      );
      if (whole) { tile[i] = value; }
      if (stored) { store(stage, firstRow + row, d, value); }
    }
    storageBarrier();
    workgroupBarrier();
  }
}
