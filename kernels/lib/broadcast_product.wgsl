// The heart of products on adapters that run shaders on the CPU and have subgroups: a subgroup works alone, without barriers.
// Each of its threads makes 8 rows of 32 columns, its rows SUBGROUP apart. A load costs such an adapter as much as twenty
// multiplications; so the threads load different columns and hand them round by subgroupBroadcast, and 8 x 32 products cost
// 12 loads with subgroups of 8, where those of 8 x 8 take 16.
// In front: SUBGROUP, the size of every subgroup, 4 to 32. Behind, the kernel says what is multiplied:
//   fn aAt(at: u32) -> f32
//   fn bAt(at: u32) -> f32
const COLUMNS = 32u;
const FOURS = COLUMNS / 4u;
// Columns that a thread loads.
const LOADS = COLUMNS / SUBGROUP;

// What a thread made, on its way out: only there can a loop choose among sums without their leaving the registers before.
var<workgroup> made: array<vec4<f32>, SUBGROUP * 8u * FOURS>;

fn outer(a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(a * b.x, a * b.y, a * b.z, a * b.w);
}

// Sums over `terms` of the elements of eight rows, `aStep` apart, with those of 32 columns, `bStep` apart, of which `columns`
// are this thread's to load. Row i, columns 4 q to 4 q + 3, is then made[lane * 8 * FOURS + i * FOURS + q].
fn broadcastProduct(
  lane: u32,
  upperRows: vec4<u32>,
  lowerRows: vec4<u32>,
  aStep: u32,
  columns: array<u32, LOADS>,
  bStep: u32,
  terms: u32,
) {
  var top = upperRows;
  var bottom = lowerRows;
  var at = columns;
  // The products of four columns with the upper and the lower four rows.
  var u = array<mat4x4<f32>, FOURS>();
  var l = array<mat4x4<f32>, FOURS>();
  for (var k = 0u; k < terms; k++) {
    var loaded = array<f32, LOADS>();
    for (var i = 0u; i < LOADS; i++) { // unroll
      loaded[i] = bAt(at[i]);
      at[i] += bStep;
    }
    let upper = vec4<f32>(aAt(top.x), aAt(top.y), aAt(top.z), aAt(top.w));
    let lower = vec4<f32>(aAt(bottom.x), aAt(bottom.y), aAt(bottom.z), aAt(bottom.w));
    top += aStep;
    bottom += aStep;
    for (var q = 0u; q < FOURS; q++) { // unroll
      let e = vec4<f32>(
        subgroupBroadcast(loaded[4u * q / SUBGROUP], 4u * q % SUBGROUP),
        subgroupBroadcast(loaded[4u * q / SUBGROUP], 4u * q % SUBGROUP + 1u),
        subgroupBroadcast(loaded[4u * q / SUBGROUP], 4u * q % SUBGROUP + 2u),
        subgroupBroadcast(loaded[4u * q / SUBGROUP], 4u * q % SUBGROUP + 3u),
      );
      u[q] += outer(upper, e);
      l[q] += outer(lower, e);
    }
  }
  let mine = lane * 8u * FOURS;
  for (var q = 0u; q < FOURS; q++) { // unroll
    let upper = transpose(u[q]);
    let lower = transpose(l[q]);
    for (var r = 0u; r < 4u; r++) { // unroll
      made[mine + r * FOURS + q] = upper[r];
      made[mine + (4u + r) * FOURS + q] = lower[r];
    }
  }
}
