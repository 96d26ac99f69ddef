// A convolution or its transpose by matrix units, f16 x f16 summed in f32: the product of conv_tiled.wgsl, for which see
// there. Four subgroups make a tile of 64 channels x 64 places, a quarter each. q is staged in steps of 32 through workgroup
// memory, the input gathered on the way. What the units made goes through workgroup memory, one fragment a subgroup at a
// time, for only there can elements be told apart.
// In front: TRANSPOSED; UNIT_M, UNIT_N, UNIT_K, a product that the units do; SUBGROUP, threads a subgroup; XElement,
// WeightElement and OutElement, the types in memory. Behind: conv_gather.wgsl.
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
  tapStepY: u32,
  tapStepX: u32,
  groups: u32,
  xOffset: u32,
  weightOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XElement>;
@group(0) @binding(2) var<storage, read> weight: array<WeightElement>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

const STEP = 32u;
const TILE = 64u;
const THREADS = 4u * SUBGROUP;
// Rows are padded against bank conflicts.
const A_ROW = STEP + 8u;
const B_ROW = TILE + 8u;
const ROWS = TILE / 2u / UNIT_M;
const COLUMNS = TILE / 2u / UNIT_N;
const FRAGMENT = UNIT_M * UNIT_N;
// Weights of the tile, [channel, q], and input, [q, place].
var<workgroup> aTile: array<f16, TILE * A_ROW>;
var<workgroup> bTile: array<f16, STEP * B_ROW>;
var<workgroup> steps: array<vec4<u32>, STEP>;
var<workgroup> sums: array<f32, 4u * FRAGMENT>;

alias Left = subgroup_matrix_left<f16, UNIT_K, UNIT_M>;
alias Right = subgroup_matrix_right<f16, UNIT_N, UNIT_K>;
alias Sum = subgroup_matrix_result<f32, UNIT_N, UNIT_M>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let workgroup = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let group = workgroup.z % params.groups;
  let phase = phaseOf(workgroup.z / params.groups);
  let rows = axisOf(phase.y, params.strideY, params.paddingY, params.dilationY, params.kernelHeight, params.tapStepY, params.outHeight);
  let columns = axisOf(phase.x, params.strideX, params.paddingX, params.dilationX, params.kernelWidth, params.tapStepX, params.outWidth);
  let plane = rows.outputs * columns.outputs;
  let places = params.batch * plane;
  let firstPlace = workgroup.x * TILE;
  if (firstPlace >= places) { return; }
  let firstRow = workgroup.y * TILE;
  let taps = params.kernelHeight * params.kernelWidth;
  let depth = params.inPerGroup * rows.taps * columns.taps;
  let weightRow = select(depth, taps, TRANSPOSED);
  let weightBase = params.weightOffset + group * params.outPerGroup * params.inPerGroup * taps;
  let inStep = select(vec2<u32>(params.strideX, params.strideY), vec2<u32>(1u), TRANSPOSED);

  // Which four places this thread gathers.
  let quad = lane % 16u;
  let n = firstPlace + quad * 4u + vec4<u32>(0u, 1u, 2u, 3u);
  let isPlace = n < vec4<u32>(places);
  let inPlane = n % plane;
  let bases = params.xOffset + (n / plane * params.groups + group) * (params.inPerGroup * params.inHeight * params.inWidth);
  let y = select(vec4<u32>(NOWHERE), inPlane / columns.outputs * inStep.y, isPlace);
  let t = inPlane % columns.outputs * inStep.x;

  let subgroup = lane / SUBGROUP;
  // The subgroup's quarter of the tile.
  let quarterRow = (subgroup / 2u) * (TILE / 2u);
  let quarterColumn = (subgroup % 2u) * (TILE / 2u);
  var c: array<array<Sum, COLUMNS>, ROWS>;
  for (var i = lane; i < STEP; i += THREADS) { steps[i] = stepOf(i, phase, rows, columns); }
  workgroupBarrier();
  for (var q = 0u; q < depth; q += STEP) {
    for (var inner = lane / 16u; inner < STEP; inner += THREADS / 16u) {
      let step = steps[inner];
      let at = inner * B_ROW + quad * 4u;
      bTile[at] = f16(loadInput(bases.x + step.x, y.x + step.y, t.x + step.z));
      bTile[at + 1u] = f16(loadInput(bases.y + step.x, y.y + step.y, t.y + step.z));
      bTile[at + 2u] = f16(loadInput(bases.z + step.x, y.z + step.y, t.z + step.z));
      bTile[at + 3u] = f16(loadInput(bases.w + step.x, y.w + step.y, t.w + step.z));
    }
    for (var i = lane; i < TILE * STEP; i += THREADS) {
      // Weights lie next to each other along q, in the transpose rather along the channels.
      let inner = select(i % STEP, i / TILE, TRANSPOSED);
      let row = select(i / STEP, i % TILE, TRANSPOSED);
      aTile[row * A_ROW + inner] = f16(loadWeight(firstRow + row, weightRow, weightBase, steps[inner].w));
    }
    workgroupBarrier();
    for (var i = lane; i < STEP; i += THREADS) { steps[i] = stepOf(q + STEP + i, phase, rows, columns); }
    for (var k = 0u; k < STEP; k += UNIT_K) {
      var left: array<Left, ROWS>;
      for (var r = 0u; r < ROWS; r++) {
        left[r] = subgroupMatrixLoad<Left, row_major>(&aTile, (quarterRow + r * UNIT_M) * A_ROW + k, A_ROW);
      }
      for (var s = 0u; s < COLUMNS; s++) {
        let right = subgroupMatrixLoad<Right, row_major>(&bTile, k * B_ROW + quarterColumn + s * UNIT_N, B_ROW);
        for (var r = 0u; r < ROWS; r++) { c[r][s] = subgroupMatrixMultiplyAccumulate(left[r], right, c[r][s]); }
      }
    }
    workgroupBarrier();
  }

  let mine = subgroup * FRAGMENT;
  let thread = lane % SUBGROUP;
  let channelSize = params.outHeight * params.outWidth;
  for (var r = 0u; r < ROWS; r++) {
    for (var s = 0u; s < COLUMNS; s++) {
      subgroupMatrixStore<row_major>(&sums, mine, c[r][s], UNIT_N);
      workgroupBarrier();
      for (var four = thread; four < FRAGMENT / 4u; four += SUBGROUP) {
        let row = firstRow + quarterRow + r * UNIT_M + 4u * four / UNIT_N;
        let place = firstPlace + quarterColumn + s * UNIT_N + 4u * four % UNIT_N;
        if (row < params.outPerGroup && place < places) {
          let at = outputsAt(place, rows, columns, phase, group) + row * channelSize;
          prepare(at.x);
          for (var j = 0u; j < min(4u, places - place); j++) { emit(at[j], sums[mine + 4u * four + j]); }
        }
      }
      workgroupBarrier();
    }
  }
}
