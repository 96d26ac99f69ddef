// The heart of products on adapters that run shaders on the CPU and have subgroups: a subgroup works alone, without barriers.
// Each of its threads makes 8 rows of COLUMNS columns. A load costs such an adapter as much as twenty multiplications; so the
// threads load different columns and hand them round by subgroupBroadcast, and 8 x 32 products cost 12 loads with subgroups
// of 8, where those of 8 x 8 take 16.
// In front: product_side.wgsl; SUBGROUP, the size of every subgroup, 4 to 32; COLUMNS, a multiple of it and of 4; TERMS, 1 or 2, that are multiplied at a
// time, so that sums, of which there are more than registers, are fetched and left once for two; REST, whether one may be left; PRODUCTS, how many of them are
// kept at a time. Behind, the kernel says what is multiplied:
//   fn aAt(at: u32) -> f32
//   fn bAt(at: u32) -> f32
const FOURS = COLUMNS / 4u;
// Columns that a thread loads.
const LOADS = COLUMNS / SUBGROUP;

// The products of four columns each with four rows.
alias Sums = array<mat4x4<f32>, FOURS>;

// What a thread made, on its way out: only there can a loop choose among sums without their leaving the registers before.
var<workgroup> made: array<vec4<f32>, PRODUCTS * SUBGROUP * 8u * FOURS>;

// Four rows: where their first terms lie, and whether they are there at all. Of those that are not, zeros are taken, but what
// lies at `at` is read all the same.
struct Rows {
  at: vec4<u32>,
  there: vec4<bool>,
}

fn allThere(at: vec4<u32>) -> Rows { return Rows(at, vec4<bool>(true)); }

fn readRows(at: vec4<u32>, there: vec4<bool>) -> vec4<f32> {
  return select(vec4<f32>(), vec4<f32>(aAt(at.x), aAt(at.y), aAt(at.z), aAt(at.w)), there);
}

// Adds sums over `terms` of the elements of eight rows, `aStep` apart, with those of COLUMNS columns, `bStep` apart, of which
// `columns` are this thread's to load.
fn addProducts(
  upper: ptr<function, Sums>,
  lower: ptr<function, Sums>,
  upperRows: Rows,
  lowerRows: Rows,
  aStep: u32,
  columns: array<u32, LOADS>,
  bStep: u32,
  terms: u32,
) {
  var top = upperRows.at;
  var bottom = lowerRows.at;
  var at = columns;
  let whole = terms - terms % TERMS;
  for (var k = 0u; k < whole; k += TERMS) {
    var loaded = array<f32, TERMS * LOADS>();
    var u = array<vec4<f32>, TERMS>();
    var l = array<vec4<f32>, TERMS>();
    for (var t = 0u; t < TERMS; t++) { // unroll
      for (var i = 0u; i < LOADS; i++) { // unroll
        loaded[t * LOADS + i] = bAt(at[i]);
        at[i] += bStep;
      }
      u[t] = readRows(top, upperRows.there);
      l[t] = readRows(bottom, lowerRows.there);
      top += aStep;
      bottom += aStep;
    }
    for (var q = 0u; q < FOURS; q++) { // unroll
      for (var c = 0u; c < 4u; c++) { // unroll
        var high = (*upper)[q][c];
        var low = (*lower)[q][c];
        for (var t = 0u; t < TERMS; t++) { // unroll
          let e = subgroupBroadcast(loaded[t * LOADS + 4u * q / SUBGROUP], 4u * q % SUBGROUP + c);
          high += u[t] * e;
          low += l[t] * e;
        }
        (*upper)[q][c] = high;
        (*lower)[q][c] = low;
      }
    }
  }
  if (REST && whole < terms) {
    var loaded = array<f32, LOADS>();
    for (var i = 0u; i < LOADS; i++) { // unroll
      loaded[i] = bAt(at[i]);
    }
    let u = readRows(top, upperRows.there);
    let l = readRows(bottom, lowerRows.there);
    for (var q = 0u; q < FOURS; q++) { // unroll
      for (var c = 0u; c < 4u; c++) { // unroll
        let e = subgroupBroadcast(loaded[4u * q / SUBGROUP], 4u * q % SUBGROUP + c);
        (*upper)[q][c] += u * e;
        (*lower)[q][c] += l * e;
      }
    }
  }
}

// How many fours of columns to store where so many columns are left. Mesa writes out a loop whose end a constant or a min bounds; each
// store is several blocks of code to llvmpipe, and what it takes to compile grows with the square of these.
fn foursOf(left: u32) -> u32 { return (min(COLUMNS, left) + 3u) / 4u; }

// Block q of the sums, where q is a loop's. What is stored then stands in the code once: written out for every block, it took two
// thirds of the time that SwiftShader compiles, and more of llvmpipe's.
fn blockAt(sums: ptr<function, Sums>, q: u32) -> mat4x4<f32> {
  var block = (*sums)[0];
  for (var other = 1u; other < FOURS; other++) { // unroll
    for (var c = 0u; c < 4u; c++) { // unroll
      block[c] = select(block[c], (*sums)[other][c], q == other);
    }
  }
  return block;
}

// Row i, columns 4 q to 4 q + 3, becomes made[first + i * FOURS + q], of so many fours of columns.
fn keepByRows(first: u32, upper: ptr<function, Sums>, lower: ptr<function, Sums>, fours: u32) {
  for (var q = 0u; q < fours; q++) {
    let u = transpose(blockAt(upper, q));
    let l = transpose(blockAt(lower, q));
    for (var r = 0u; r < 4u; r++) { // unroll
      made[first + r * FOURS + q] = u[r];
      made[first + (4u + r) * FOURS + q] = l[r];
    }
  }
}

// The upper four rows of column c become made[first + 2 c], the lower four the one behind. Written out: from a loop llvmpipe made
// convolutions at half the speed.
fn keepByColumns(first: u32, upper: ptr<function, Sums>, lower: ptr<function, Sums>) {
  for (var q = 0u; q < FOURS; q++) { // unroll
    for (var c = 0u; c < 4u; c++) { // unroll
      made[first + 8u * q + 2u * c] = (*upper)[q][c];
      made[first + 8u * q + 2u * c + 1u] = (*lower)[q][c];
    }
  }
}

// The products of eight rows of a, `row` the first and SUBGROUP apart so that neighbours are read together, with the columns of b
// that begin at `column`, kept by rows, made[first] the first.
fn multiply(lane: u32, row: u32, column: u32, a: Side, b: Side, terms: u32, first: u32) {
  let last = vec4<u32>(a.count - 1u);
  let steps = vec4<u32>(0u, 1u, 2u, 3u) * SUBGROUP;
  let top = a.base + min(row + steps, last) * a.step;
  let bottom = a.base + min(row + 4u * SUBGROUP + steps, last) * a.step;
  var columns = array<u32, LOADS>();
  for (var i = 0u; i < LOADS; i++) { // unroll
    columns[i] = b.base + min(column + i * SUBGROUP + lane, b.count - 1u) * b.step;
  }
  var upper = Sums();
  var lower = Sums();
  addProducts(&upper, &lower, allThere(top), allThere(bottom), a.term, columns, b.term, terms);
  keepByRows(first, &upper, &lower, foursOf(b.count - column));
}
