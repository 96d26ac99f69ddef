// The heart of products by matrix units, f16 x f16 summed in f32: as tile_product.wgsl, and with the same functions behind,
// but that fetchA and fetchB give eight neighbours as an Eight. Each subgroup sums a part of PART_M x PART_N of the tile, in
// fragments of UNIT_M x UNIT_N. Tiles lie as their operands do, eight halves a vector, and rows are a vector longer than
// they need be, which keeps neighbouring rows in other banks.
// Where PARTS is 2, an operand is the sum of two halves, x = high + low / 2048, and C = high high + (high low + low high) /
// 2048: about 21 bits of each factor, as far as they are within the range of f16.
// In front: UNIT_M, UNIT_N, UNIT_K, a product that the units do; SUBGROUP, threads a subgroup, which must all be of one
// size; TILE_M, TILE_N, PART_M, PART_N, STEP; PARTS; A_ALONG_K, B_ALONG_K; loadLeft and loadRight, which read a fragment
// from a tile as it lies there.
const PARTS_X = TILE_N / PART_N;
const SUBGROUPS_USED = TILE_M / PART_M * PARTS_X;
const THREADS = SUBGROUPS_USED * SUBGROUP;
// Vectors of eight a row of a tile, and a tile.
const A_ROW = select(TILE_M, STEP, A_ALONG_K) / 8u;
const B_ROW = select(TILE_N, STEP, B_ALONG_K) / 8u;
const A_STRIDE = A_ROW + 1u;
const B_STRIDE = B_ROW + 1u;
const A_SIZE = select(STEP, TILE_M, A_ALONG_K) * A_STRIDE;
const B_SIZE = select(STEP, TILE_N, B_ALONG_K) * B_STRIDE;
const B_TILE = PARTS * A_SIZE;
const A_FETCHES = TILE_M * STEP / 8u / THREADS;
const B_FETCHES = TILE_N * STEP / 8u / THREADS;
// Fragments of a subgroup's part.
const ROWS = PART_M / UNIT_M;
const COLUMNS = PART_N / UNIT_N;
// Sums leave by fragments side by side, as many as fit into the tiles' memory; vectors of four f32.
const LINE = UNIT_N / 4u;
const TILES_SIZE = max(PARTS * (A_SIZE + B_SIZE), PARTS * SUBGROUPS_USED * UNIT_M * (LINE + 1u));
const FITTING = (TILES_SIZE / (PARTS * SUBGROUPS_USED * UNIT_M) - 1u) / LINE;
const PHASE_COLUMNS = 1u + min(FITTING / 2u, 1u) * min(1u, COLUMNS / 2u) + 2u * min(FITTING / 4u, 1u) * min(1u, COLUMNS / 4u);
const LINE_STRIDE = PHASE_COLUMNS * LINE + 1u;
const LOW = 2048.0;
var<workgroup> tiles: array<vec4<u32>, TILES_SIZE>;

alias Left = subgroup_matrix_left<f16, UNIT_K, UNIT_M>;
alias Right = subgroup_matrix_right<f16, UNIT_N, UNIT_K>;
alias Fragment = subgroup_matrix_result<f32, UNIT_N, UNIT_M>;
// The products of the low parts, 2048-fold, lie behind the others.
alias Sums = array<Fragment, PARTS * ROWS * COLUMNS>;

// Eight halves, and what they leave of eight f32, 2048-fold, where PARTS is 2.
struct Eight {
  high: vec4<u32>,
  low: vec4<u32>,
}

fn halvesOf(four: vec4<f32>) -> vec2<u32> { return bitcast<vec2<u32>>(vec4<f16>(four)); }

// Drivers may keep the digits of f32 in a value of f16; quantizeToF16 rounds.
fn eightOf(a: vec4<f32>, b: vec4<f32>) -> Eight {
  if (PARTS == 1u) { return Eight(vec4<u32>(halvesOf(a), halvesOf(b)), vec4<u32>()); }
  let highA = quantizeToF16(a);
  let highB = quantizeToF16(b);
  return Eight(
    vec4<u32>(halvesOf(highA), halvesOf(highB)),
    vec4<u32>(halvesOf((a - highA) * LOW), halvesOf((b - highB) * LOW)),
  );
}

// Where eight fetched neighbours belong in their tile: the row or column and the step along k of the first.
fn placeInA(fetch: u32) -> vec2<u32> {
  let place = vec2<u32>(fetch / A_ROW, 8u * (fetch % A_ROW));
  return select(place.yx, place, A_ALONG_K);
}

fn placeInB(fetch: u32) -> vec2<u32> {
  let place = vec2<u32>(fetch / B_ROW, 8u * (fetch % B_ROW));
  return select(place.yx, place, B_ALONG_K);
}

fn storeInA(fetch: u32, eight: Eight) {
  let at = fetch / A_ROW * A_STRIDE + fetch % A_ROW;
  tiles[at] = eight.high;
  if (PARTS == 2u) { tiles[at + A_SIZE] = eight.low; }
}

fn storeInB(fetch: u32, eight: Eight) {
  let at = B_TILE + fetch / B_ROW * B_STRIDE + fetch % B_ROW;
  tiles[at] = eight.high;
  if (PARTS == 2u) { tiles[at + B_SIZE] = eight.low; }
}

// Adds the products of k, `start` to before `end`.
fn addProducts(sums: ptr<function, Sums>, tile: Tile, lane: u32, start: u32, end: u32) {
  let subgroup = lane / SUBGROUP;
  let partRow = subgroup / PARTS_X * PART_M;
  let partColumn = subgroup % PARTS_X * PART_N;
  // Vectors between neighbouring fragments, and between steps along k.
  const A_FRAGMENT = select(UNIT_M / 8u, UNIT_M * A_STRIDE, A_ALONG_K);
  const B_FRAGMENT = select(UNIT_N / 8u, UNIT_N * B_STRIDE, B_ALONG_K);
  const A_UNIT = select(UNIT_K * A_STRIDE, UNIT_K / 8u, A_ALONG_K);
  const B_UNIT = select(UNIT_K * B_STRIDE, UNIT_K / 8u, B_ALONG_K);
  let ofA = partRow / UNIT_M * A_FRAGMENT;
  let ofB = B_TILE + partColumn / UNIT_N * B_FRAGMENT;
  var a: array<Eight, A_FETCHES>;
  var b: array<Eight, B_FETCHES>;
  var rows: array<Row, A_FETCHES>;
  var columns: array<Column, B_FETCHES>;
  for (var i = 0u; i < A_FETCHES; i++) { // unroll
    let place = placeInA(i * THREADS + lane);
    rows[i] = rowOf(tile, place.x);
    a[i] = fetchA(rows[i], start + place.y, end);
  }
  for (var i = 0u; i < B_FETCHES; i++) { // unroll
    let place = placeInB(i * THREADS + lane);
    columns[i] = columnOf(tile, place.x);
    b[i] = fetchB(columns[i], start + place.y, end);
  }
  for (var k0 = start; k0 < end; k0 += STEP) {
    workgroupBarrier();
    for (var i = 0u; i < A_FETCHES; i++) { // unroll
      storeInA(i * THREADS + lane, a[i]);
    }
    for (var i = 0u; i < B_FETCHES; i++) { // unroll
      storeInB(i * THREADS + lane, b[i]);
    }
    workgroupBarrier();
    // Past the end these are zeros.
    for (var i = 0u; i < A_FETCHES; i++) { // unroll
      a[i] = fetchA(rows[i], k0 + STEP + placeInA(i * THREADS + lane).y, end);
    }
    for (var i = 0u; i < B_FETCHES; i++) { // unroll
      b[i] = fetchB(columns[i], k0 + STEP + placeInB(i * THREADS + lane).y, end);
    }
    for (var unit = 0u; unit < STEP / UNIT_K; unit++) { // unroll
      var left: array<Left, ROWS>;
      for (var r = 0u; r < ROWS; r++) { // unroll
        left[r] = loadLeft(ofA + unit * A_UNIT + r * A_FRAGMENT);
      }
      for (var c = 0u; c < COLUMNS; c++) { // unroll
        let right = loadRight(ofB + unit * B_UNIT + c * B_FRAGMENT);
        for (var r = 0u; r < ROWS; r++) { // unroll
          (*sums)[r * COLUMNS + c] = subgroupMatrixMultiplyAccumulate(left[r], right, (*sums)[r * COLUMNS + c]);
        }
        for (var part = 1u; part < PARTS; part++) { // unroll
          let low = loadRight(ofB + B_SIZE + unit * B_UNIT + c * B_FRAGMENT);
          for (var r = 0u; r < ROWS; r++) { // unroll
            let lowLeft = loadLeft(ofA + A_SIZE + unit * A_UNIT + r * A_FRAGMENT);
            const SUM = (part * ROWS + r) * COLUMNS + c;
            (*sums)[SUM] = subgroupMatrixMultiplyAccumulate(left[r], low, (*sums)[SUM]);
            (*sums)[SUM] = subgroupMatrixMultiplyAccumulate(lowLeft, right, (*sums)[SUM]);
          }
        }
      }
    }
  }
}

// Hands the sums to `keep`, neighbours to neighbouring threads: only in workgroup memory can elements be told apart.
fn keepSums(sums: ptr<function, Sums>, tile: Tile, lane: u32) {
  // Sums of the low parts lie behind those of the high ones.
  const AREA = UNIT_M * LINE_STRIDE;
  const WIDTH = PHASE_COLUMNS * UNIT_N;
  let subgroup = lane / SUBGROUP;
  let partRow = subgroup / PARTS_X * PART_M;
  let partColumn = subgroup % PARTS_X * PART_N;
  let mine = subgroup * PARTS * AREA;
  for (var r = 0u; r < ROWS; r++) { // unroll
    for (var first = 0u; first < COLUMNS; first += PHASE_COLUMNS) { // unroll
      workgroupBarrier();
      for (var part = 0u; part < PARTS; part++) { // unroll
        for (var c = 0u; c < PHASE_COLUMNS; c++) { // unroll
          subgroupMatrixStore<row_major>(&tiles, mine + part * AREA + c * LINE, (*sums)[(part * ROWS + r) * COLUMNS + first + c], LINE_STRIDE);
        }
      }
      workgroupBarrier();
      for (var i = lane % SUBGROUP; i < UNIT_M * WIDTH; i += SUBGROUP) {
        let at = mine + i / WIDTH * LINE_STRIDE + i % WIDTH / 4u;
        var sum = bitcast<f32>(tiles[at][i % 4u]);
        if (PARTS == 2u) { sum += bitcast<f32>(tiles[at + AREA * (PARTS - 1u)][i % 4u]) / LOW; }
        keep(tile, partRow + r * UNIT_M + i / WIDTH, partColumn + first * UNIT_N + i % WIDTH, sum);
      }
    }
  }
}
