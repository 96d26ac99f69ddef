// The gradient of a convolution's weight by matrix units, f16 x f16 summed in f32: the product of
// conv_tiled_weight_gradient.wgsl, for which see there. Four subgroups make a tile of 64 channels x 64 of q, a quarter each;
// places are staged in steps of 32 through workgroup memory. What the units made goes through workgroup memory, one fragment
// a subgroup at a time, for only there can elements be told apart.
// In front: UNIT_M, UNIT_N, UNIT_K, a product that the units do; SUBGROUP, threads a subgroup; XElement, GradElement and
// OutElement, the types in memory. Behind: conv_gather_weight_gradient.wgsl.
struct Params {
  batch: u32,
  inPerGroup: u32,
  inHeight: u32,
  inWidth: u32,
  outPerGroup: u32,
  outHeight: u32,
  outWidth: u32,
  kernelHeight: u32,
  kernelWidth: u32,
  strideY: u32,
  strideX: u32,
  paddingY: u32,
  paddingX: u32,
  dilationY: u32,
  dilationX: u32,
  groups: u32,
  chunk: u32,
  xOffset: u32,
  gradOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XElement>;
@group(0) @binding(2) var<storage, read> grad: array<GradElement>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

const STEP = 32u;
const TILE = 64u;
const THREADS = 4u * SUBGROUP;
// Rows are padded against bank conflicts.
const ROW = STEP + 8u;
const ROWS = TILE / 2u / UNIT_M;
const COLUMNS = TILE / 2u / UNIT_N;
const FRAGMENT = UNIT_M * UNIT_N;
// The gradient, [channel, place], and the input, [q, place]: both are read along the places.
var<workgroup> aTile: array<f16, TILE * ROW>;
var<workgroup> bTile: array<f16, TILE * ROW>;
var<workgroup> columns: array<vec4<u32>, TILE>;
var<workgroup> sums: array<f32, 4u * FRAGMENT>;

alias Left = subgroup_matrix_left<f16, UNIT_K, UNIT_M>;
alias Right = subgroup_matrix_right<f16, UNIT_N, UNIT_K>;
alias Sum = subgroup_matrix_result<f32, UNIT_N, UNIT_M>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let workgroup = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let group = workgroup.z % params.groups;
  let split = workgroup.z / params.groups;
  let taps = params.kernelHeight * params.kernelWidth;
  let depth = params.inPerGroup * taps;
  let plane = params.outHeight * params.outWidth;
  let firstRow = workgroup.y * TILE;
  let firstColumn = workgroup.x * TILE;
  let start = split * params.chunk;
  let end = min(params.batch * plane, start + params.chunk);
  for (var i = lane; i < TILE; i += THREADS) { columns[i] = columnOf(firstColumn + i, depth, taps); }
  workgroupBarrier();

  let subgroup = lane / SUBGROUP;
  // The subgroup's quarter of the tile.
  let quarterRow = (subgroup / 2u) * (TILE / 2u);
  let quarterColumn = (subgroup % 2u) * (TILE / 2u);
  var c: array<array<Sum, COLUMNS>, ROWS>;
  // Neighbouring lanes read neighbours in time.
  let inner = lane % STEP;
  for (var first = start; first < end; first += STEP) {
    let n = first + inner;
    let isThere = n < end;
    let batch = n / plane;
    let within = n % plane;
    let gradBase = params.gradOffset + (batch * params.groups + group) * params.outPerGroup * plane + within;
    let base = params.xOffset + (batch * params.groups + group) * (params.inPerGroup * params.inHeight * params.inWidth);
    let row = select(NOWHERE, within / params.outWidth * params.strideY, isThere);
    let position = within % params.outWidth * params.strideX;
    for (var i = lane / STEP; i < TILE; i += THREADS / STEP) {
      bTile[i * ROW + inner] = f16(loadInput(columns[i], base, row, position));
      aTile[i * ROW + inner] = f16(loadGrad(firstRow + i, gradBase, isThere));
    }
    workgroupBarrier();
    for (var k = 0u; k < STEP; k += UNIT_K) {
      var left: array<Left, ROWS>;
      for (var r = 0u; r < ROWS; r++) {
        left[r] = subgroupMatrixLoad<Left, row_major>(&aTile, (quarterRow + r * UNIT_M) * ROW + k, ROW);
      }
      for (var s = 0u; s < COLUMNS; s++) {
        let right = subgroupMatrixLoad<Right, col_major>(&bTile, (quarterColumn + s * UNIT_N) * ROW + k, ROW);
        for (var r = 0u; r < ROWS; r++) { c[r][s] = subgroupMatrixMultiplyAccumulate(left[r], right, c[r][s]); }
      }
    }
    workgroupBarrier();
  }

  let mine = subgroup * FRAGMENT;
  let thread = lane % SUBGROUP;
  let base = (split * params.groups + group) * params.outPerGroup * depth;
  for (var r = 0u; r < ROWS; r++) {
    for (var s = 0u; s < COLUMNS; s++) {
      subgroupMatrixStore<row_major>(&sums, mine, c[r][s], UNIT_N);
      workgroupBarrier();
      for (var i = thread; i < FRAGMENT; i += SUBGROUP) {
        let row = firstRow + quarterRow + r * UNIT_M + i / UNIT_N;
        let column = firstColumn + quarterColumn + s * UNIT_N + i % UNIT_N;
        if (row < params.outPerGroup && column < depth) { out[base + row * depth + column] = OutElement(sums[mine + i]); }
      }
      workgroupBarrier();
    }
  }
}
