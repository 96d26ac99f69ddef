// out[b, o, s, t] = sum over c, j, k of x[b, c, s strideY + j dilationY - paddingY, t strideX + k dilationX - paddingX]
// weight[o, c, j, k], in groups, or its transpose, for hardware adapters: an implicit product of matrices, weight [o, q] x
// input [q, n], where q counts (c, j, k) and n counts (b, s, t). A workgroup makes a tile of 64 channels x 64 places; q is
// staged in steps of 16 through workgroup memory, the input gathered on the way; a thread makes 8 x 8 outputs: 4 reads of
// vec4 for 64 multiply-adds, and 32 reads of global memory for 1024.
//
// The transpose goes by phases of the stride: outputs at h = phase + u stride meet the same taps j, namely those for which
// phase + padding - j dilation is a multiple of the stride, at y[u + (phase + padding - j dilation) / stride]. Each phase is
// a product of its own in which no tap is wasted. x is then the gradient, `in` its sizes and channels.
//
// In front: TRANSPOSED; XElement, WeightElement and OutElement, the types in memory. Sums are in f32. Behind:
// conv_gather.wgsl.
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

const STEP = 16u;
// A tile has 16 vec4 a row; one more keeps rows in other banks.
const ROW = 17u;
var<workgroup> aTile: array<vec4<f32>, STEP * ROW>;
var<workgroup> bTile: array<vec4<f32>, STEP * ROW>;
// What each q of the step means: where its channel begins in x, its shifts of row and column, where its weights are.
var<workgroup> steps: array<vec4<u32>, STEP>;

// One channel's outputs at four places in a row, `count` of them there.
fn store(row: u32, at: vec4<u32>, count: u32, values: vec4<f32>) {
  if (row >= params.outPerGroup || count == 0u) { return; }
  let places = at + row * params.outHeight * params.outWidth;
  prepare(places.x);
  emit(places.x, values.x);
  if (count > 1u) { emit(places.y, values.y); }
  if (count > 2u) { emit(places.z, values.z); }
  if (count > 3u) { emit(places.w, values.w); }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let workgroup = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let group = workgroup.z % params.groups;
  let phase = phaseOf(workgroup.z / params.groups);
  let rows = axisOf(phase.y, params.strideY, params.paddingY, params.dilationY, params.kernelHeight, params.tapStepY, params.outHeight);
  let columns = axisOf(phase.x, params.strideX, params.paddingX, params.dilationX, params.kernelWidth, params.tapStepX, params.outWidth);
  let plane = rows.outputs * columns.outputs;
  let places = params.batch * plane;
  let firstPlace = workgroup.x * 64u;
  if (firstPlace >= places) { return; }
  let firstRow = workgroup.y * 64u;
  let taps = params.kernelHeight * params.kernelWidth;
  let depth = params.inPerGroup * rows.taps * columns.taps;
  let weightRow = select(depth, taps, TRANSPOSED);
  let weightBase = params.weightOffset + group * params.outPerGroup * params.inPerGroup * taps;
  let inStep = select(vec2<u32>(params.strideX, params.strideY), vec2<u32>(1u), TRANSPOSED);

  // Which four places this thread gathers, and which four rows of weights: neighbouring lanes read neighbours in memory.
  let quad = lane % 16u;
  let line = lane / 16u;
  let n = firstPlace + quad * 4u + vec4<u32>(0u, 1u, 2u, 3u);
  let isPlace = n < vec4<u32>(places);
  let inPlane = n % plane;
  let bases = params.xOffset + (n / plane * params.groups + group) * (params.inPerGroup * params.inHeight * params.inWidth);
  let y = select(vec4<u32>(NOWHERE), inPlane / columns.outputs * inStep.y, isPlace);
  let t = inPlane % columns.outputs * inStep.x;

  var a0 = vec4<f32>();
  var a1 = vec4<f32>();
  var a2 = vec4<f32>();
  var a3 = vec4<f32>();
  var a4 = vec4<f32>();
  var a5 = vec4<f32>();
  var a6 = vec4<f32>();
  var a7 = vec4<f32>();
  var b0 = vec4<f32>();
  var b1 = vec4<f32>();
  var b2 = vec4<f32>();
  var b3 = vec4<f32>();
  var b4 = vec4<f32>();
  var b5 = vec4<f32>();
  var b6 = vec4<f32>();
  var b7 = vec4<f32>();
  let threadRow = lane / 8u;
  let threadColumn = lane % 8u;
  if (lane < STEP) { steps[lane] = stepOf(lane, phase, rows, columns); }
  workgroupBarrier();
  for (var q = 0u; q < depth; q += STEP) {
    for (var i = 0u; i < 4u; i++) {
      let inner = line + i * 4u;
      let step = steps[inner];
      let plane = bases + step.x;
      let row = y + step.y;
      let column = t + step.z;
      bTile[inner * ROW + quad] = vec4<f32>(
        loadInput(plane.x, row.x, column.x),
        loadInput(plane.y, row.y, column.y),
        loadInput(plane.z, row.z, column.z),
        loadInput(plane.w, row.w, column.w),
      );
      // Weights lie next to each other along q, in the transpose rather along the channels.
      let weightStep = select(quad, inner, TRANSPOSED);
      let weightQuad = select(inner, quad, TRANSPOSED);
      let first = firstRow + weightQuad * 4u;
      let place = steps[weightStep].w;
      aTile[weightStep * ROW + weightQuad] = vec4<f32>(
        loadWeight(first, weightRow, weightBase, place),
        loadWeight(first + 1u, weightRow, weightBase, place),
        loadWeight(first + 2u, weightRow, weightBase, place),
        loadWeight(first + 3u, weightRow, weightBase, place),
      );
    }
    workgroupBarrier();
    if (lane < STEP) { steps[lane] = stepOf(q + STEP + lane, phase, rows, columns); }
    for (var inner = 0u; inner < STEP; inner++) {
      let early = bTile[inner * ROW + threadColumn];
      let late = bTile[inner * ROW + 8u + threadColumn];
      let upper = aTile[inner * ROW + threadRow * 2u];
      let lower = aTile[inner * ROW + threadRow * 2u + 1u];
      a0 += upper.x * early;
      b0 += upper.x * late;
      a1 += upper.y * early;
      b1 += upper.y * late;
      a2 += upper.z * early;
      b2 += upper.z * late;
      a3 += upper.w * early;
      b3 += upper.w * late;
      a4 += lower.x * early;
      b4 += lower.x * late;
      a5 += lower.y * early;
      b5 += lower.y * late;
      a6 += lower.z * early;
      b6 += lower.z * late;
      a7 += lower.w * early;
      b7 += lower.w * late;
    }
    workgroupBarrier();
  }

  let row = firstRow + threadRow * 8u;
  for (var half = 0u; half < 2u; half++) {
    let start = firstPlace + half * 32u + threadColumn * 4u;
    let count = min(4u, max(places, start) - start);
    let at = outputsAt(start, rows, columns, phase, group);
    let isLate = half == 1u;
    store(row, at, count, select(a0, b0, isLate));
    store(row + 1u, at, count, select(a1, b1, isLate));
    store(row + 2u, at, count, select(a2, b2, isLate));
    store(row + 3u, at, count, select(a3, b3, isLate));
    store(row + 4u, at, count, select(a4, b4, isLate));
    store(row + 5u, at, count, select(a5, b5, isLate));
    store(row + 6u, at, count, select(a6, b6, isLate));
    store(row + 7u, at, count, select(a7, b7, isLate));
  }
}
