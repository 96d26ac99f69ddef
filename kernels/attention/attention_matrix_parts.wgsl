// What the kernels of attention by matrix units share: f16 x f16 summed in f32. Stands after attention_params.wgsl. A subgroup
// has 16 of the ROWS of a workgroup; COLUMNS others pass by. Rows in workgroup memory are filled up to WIDTH with zeros.
// Everything that the units make goes through workgroup memory, for only there can elements be told apart.
// In front: UNIT_M, UNIT_N, UNIT_K, a product that the units do, each a divisor of 16; SUBGROUP, threads a subgroup; ROWS,
// COLUMNS.
const SUBGROUPS = ROWS / 16u;
const THREADS = SUBGROUPS * SUBGROUP;
const WIDTH = (SIZE + 15u) / 16u * 16u;
// Pitches are padded against bank conflicts.
const PITCH = WIDTH + 8u;
const SCORE_PITCH = COLUMNS + 4u;
const WEIGHT_PITCH = COLUMNS + 8u;
const FOURS = COLUMNS / 4u;
// Sizes of what lies in workgroup memory.
const HELD = ROWS * PITCH;
const PASSING = COLUMNS * PITCH;
const SCORES = ROWS * SCORE_PITCH;
const WEIGHTS = ROWS * WEIGHT_PITCH;

alias Left = subgroup_matrix_left<f16, UNIT_K, UNIT_M>;
alias Right = subgroup_matrix_right<f16, UNIT_N, UNIT_K>;
alias Sum = subgroup_matrix_result<f32, UNIT_N, UNIT_M>;
// 16 rows of an output.
alias Sums = array<array<Sum, WIDTH / UNIT_N>, 16u / UNIT_M>;

var<workgroup> halves: array<f16, HALVES>;
var<workgroup> singles: array<f32, SINGLES>;

fn storeHalves(at: u32, four: vec4<f32>) {
  for (var j = 0u; j < 4u; j++) { halves[at + j] = f16(four[j]); }
}

// The subgroup's rows of left right^T, both of them rows of WIDTH, to `scores` among the singles.
fn multiply(left: u32, right: u32, scores: u32, subgroup: u32) {
  var sums: array<array<Sum, COLUMNS / UNIT_N>, 16u / UNIT_M>;
  for (var r = 0u; r < 16u / UNIT_M; r++) {
    for (var s = 0u; s < COLUMNS / UNIT_N; s++) { sums[r][s] = Sum(); }
  }
  for (var k = 0u; k < params.chunks * 4u; k += UNIT_K) {
    var lefts: array<Left, 16u / UNIT_M>;
    for (var r = 0u; r < 16u / UNIT_M; r++) {
      lefts[r] = subgroupMatrixLoad<Left, row_major>(&halves, left + (subgroup * 16u + r * UNIT_M) * PITCH + k, PITCH);
    }
    for (var s = 0u; s < COLUMNS / UNIT_N; s++) {
      let own = subgroupMatrixLoad<Right, col_major>(&halves, right + s * UNIT_N * PITCH + k, PITCH);
      for (var r = 0u; r < 16u / UNIT_M; r++) { sums[r][s] = subgroupMatrixMultiplyAccumulate(lefts[r], own, sums[r][s]); }
    }
  }
  for (var r = 0u; r < 16u / UNIT_M; r++) {
    for (var s = 0u; s < COLUMNS / UNIT_N; s++) {
      let at = scores + (subgroup * 16u + r * UNIT_M) * SCORE_PITCH + s * UNIT_N;
      subgroupMatrixStore<row_major>(&singles, at, sums[r][s], SCORE_PITCH);
    }
  }
}

// Adds the subgroup's rows of weights right.
fn accumulate(sums: ptr<function, Sums>, weights: u32, right: u32, subgroup: u32) {
  for (var k = 0u; k < COLUMNS; k += UNIT_K) {
    var lefts: array<Left, 16u / UNIT_M>;
    for (var r = 0u; r < 16u / UNIT_M; r++) {
      let at = weights + (subgroup * 16u + r * UNIT_M) * WEIGHT_PITCH + k;
      lefts[r] = subgroupMatrixLoad<Left, row_major>(&halves, at, WEIGHT_PITCH);
    }
    for (var s = 0u; s < WIDTH / UNIT_N; s++) {
      let own = subgroupMatrixLoad<Right, row_major>(&halves, right + k * PITCH + s * UNIT_N, PITCH);
      for (var r = 0u; r < 16u / UNIT_M; r++) {
        (*sums)[r][s] = subgroupMatrixMultiplyAccumulate(lefts[r], own, (*sums)[r][s]);
      }
    }
  }
}

// Where the subgroup finds a fragment that `stage` left, and what of it a thread takes: fours of neighbours.
fn stage(sums: ptr<function, Sums>, r: u32, s: u32, subgroup: u32) {
  subgroupMatrixStore<row_major>(&singles, subgroup * 16u * SCORE_PITCH, (*sums)[r][s], SCORE_PITCH);
}

fn staged(four: u32, subgroup: u32) -> vec4<f32> {
  let at = (subgroup * 16u + 4u * four / UNIT_N) * SCORE_PITCH + 4u * four % UNIT_N;
  return vec4<f32>(singles[at], singles[at + 1u], singles[at + 2u], singles[at + 3u]);
}
