// What the kernels of attention by matrix units share: f16 x f16 summed in f32. Stands after attention_params.wgsl. A subgroup
// has 16 of the ROWS of a workgroup; COLUMNS others pass by. Rows in workgroup memory are filled up to WIDTH with zeros.
// Everything that the units make goes through workgroup memory, for only there can elements be told apart.
// In front: UNIT_M, UNIT_N, UNIT_K, a product that the units do, each a divisor of 16; SUBGROUP, threads a subgroup; ROWS,
// COLUMNS.
const SUBGROUPS = ROWS / 16u;
const THREADS = SUBGROUPS * SUBGROUP;
const WIDTH = (SIZE + 15u) / 16u * 16u;
// Of halves there are four to a vector, of scores too; rows are padded against bank conflicts, by sixteen bytes.
const LINE = WIDTH / 4u;
const PITCH = LINE + 2u;
const FOURS = COLUMNS / 4u;
const SCORE_PITCH = FOURS + 1u;
const WEIGHT_PITCH = FOURS + 2u;
// Sizes of what lies in workgroup memory.
const HELD = ROWS * PITCH;
const PASSING = COLUMNS * PITCH;
const SCORES = ROWS * SCORE_PITCH;
const WEIGHTS = ROWS * WEIGHT_PITCH;

alias Left = subgroup_matrix_left<f16, UNIT_K, UNIT_M>;
alias Right = subgroup_matrix_right<f16, UNIT_N, UNIT_K>;
alias Sum = subgroup_matrix_result<f32, UNIT_N, UNIT_M>;
// Fragments of a subgroup's rows: along them, across an output's row, across the others that pass.
const DOWN = 16u / UNIT_M;
const ACROSS = WIDTH / UNIT_N;
const PASSES = COLUMNS / UNIT_N;
// 16 rows of an output.
alias Sums = array<Sum, DOWN * ACROSS>;

var<workgroup> halves: array<vec2<u32>, HALVES>;
var<workgroup> scores: array<vec4<f32>, SINGLES>;

fn storeHalves(at: u32, four: vec4<f32>) {
  halves[at] = bitcast<vec2<u32>>(vec4<f16>(four));
}

// The subgroup's rows of left right^T, both of them rows of WIDTH, to `to` among the scores.
fn multiply(left: u32, right: u32, to: u32, subgroup: u32) {
  var sums: array<Sum, DOWN * PASSES>;
  for (var i = 0u; i < DOWN * PASSES; i++) { // unroll
    sums[i] = Sum();
  }
  for (var k = 0u; k < WIDTH / UNIT_K; k++) { // unroll
    var lefts: array<Left, DOWN>;
    for (var r = 0u; r < DOWN; r++) { // unroll
      lefts[r] = subgroupMatrixLoad<Left, row_major>(&halves, left + (subgroup * 16u + r * UNIT_M) * PITCH + k * UNIT_K / 4u, PITCH);
    }
    for (var s = 0u; s < PASSES; s++) { // unroll
      let own = subgroupMatrixLoad<Right, col_major>(&halves, right + s * UNIT_N * PITCH + k * UNIT_K / 4u, PITCH);
      for (var r = 0u; r < DOWN; r++) { // unroll
        sums[r * PASSES + s] = subgroupMatrixMultiplyAccumulate(lefts[r], own, sums[r * PASSES + s]);
      }
    }
  }
  for (var r = 0u; r < DOWN; r++) { // unroll
    for (var s = 0u; s < PASSES; s++) { // unroll
      let at = to + (subgroup * 16u + r * UNIT_M) * SCORE_PITCH + s * UNIT_N / 4u;
      subgroupMatrixStore<row_major>(&scores, at, sums[r * PASSES + s], SCORE_PITCH);
    }
  }
}

// Adds the subgroup's rows of weights right.
fn accumulate(sums: ptr<function, Sums>, weights: u32, right: u32, subgroup: u32) {
  for (var k = 0u; k < COLUMNS / UNIT_K; k++) { // unroll
    var lefts: array<Left, DOWN>;
    for (var r = 0u; r < DOWN; r++) { // unroll
      let at = weights + (subgroup * 16u + r * UNIT_M) * WEIGHT_PITCH + k * UNIT_K / 4u;
      lefts[r] = subgroupMatrixLoad<Left, row_major>(&halves, at, WEIGHT_PITCH);
    }
    for (var s = 0u; s < ACROSS; s++) { // unroll
      let own = subgroupMatrixLoad<Right, row_major>(&halves, right + k * UNIT_K * PITCH + s * UNIT_N / 4u, PITCH);
      for (var r = 0u; r < DOWN; r++) { // unroll
        (*sums)[r * ACROSS + s] = subgroupMatrixMultiplyAccumulate(lefts[r], own, (*sums)[r * ACROSS + s]);
      }
    }
  }
}

// Where the subgroup finds a fragment that `stage` left, and what of it a thread takes: fours of neighbours.
fn stage(sum: Sum, subgroup: u32) {
  subgroupMatrixStore<row_major>(&scores, subgroup * 16u * SCORE_PITCH, sum, SCORE_PITCH);
}

fn staged(four: u32, subgroup: u32) -> vec4<f32> {
  const FRAGMENT_FOURS = UNIT_N / 4u;
  return scores[(subgroup * 16u + four / FRAGMENT_FOURS) * SCORE_PITCH + four % FRAGMENT_FOURS];
}
