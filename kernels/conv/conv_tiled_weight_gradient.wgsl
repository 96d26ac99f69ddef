// out[split, o, c, j, k] = sum over the split's share of (b, s, t) of grad[b, o, s, t]
// x[b, c, s strideY + j dilationY - paddingY, t strideX + k dilationX - paddingX], for hardware adapters: a product of
// matrices, grad [o, n] x input [n, q], where n counts (b, s, t) and q counts (c, j, k). A workgroup makes a tile of 64
// channels x 64 of q; its share of n is staged in steps of 16 through workgroup memory, the input gathered on the way; a
// thread makes 8 x 8 outputs. Shares are added in a second pass, always in the same order.
// In front: XElement, GradElement and OutElement, the types in memory. Sums are in f32. Behind:
// conv_gather_weight_gradient.wgsl.
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

const STEP = 16u;
// A tile has 16 vec4 a row; one more keeps rows in other banks.
const ROW = 17u;
var<workgroup> aTile: array<vec4<f32>, STEP * ROW>;
var<workgroup> bTile: array<vec4<f32>, STEP * ROW>;
// What each q of the tile means: where its channel begins in x, its shifts of row and column.
var<workgroup> columns: array<vec4<u32>, 64>;

fn store(row: u32, at: u32, count: u32, depth: u32, values: vec4<f32>) {
  if (row >= params.outPerGroup || count == 0u) { return; }
  let place = at + row * depth;
  out[place] = OutElement(values.x);
  if (count > 1u) { out[place + 1u] = OutElement(values.y); }
  if (count > 2u) { out[place + 2u] = OutElement(values.z); }
  if (count > 3u) { out[place + 3u] = OutElement(values.w); }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let workgroup = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let group = workgroup.z % params.groups;
  let split = workgroup.z / params.groups;
  let taps = params.kernelHeight * params.kernelWidth;
  let depth = params.inPerGroup * taps;
  let plane = params.outHeight * params.outWidth;
  let firstRow = workgroup.y * 64u;
  let firstColumn = workgroup.x * 64u;
  let start = split * params.chunk;
  let end = min(params.batch * plane, start + params.chunk);
  columns[lane] = columnOf(firstColumn + lane, depth, taps);
  workgroupBarrier();

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
  // Neighbouring lanes read neighbours in time.
  let inner = lane % 16u;
  let line = lane / 16u;
  for (var first = start; first < end; first += STEP) {
    let n = first + inner;
    let isThere = n < end;
    let batch = n / plane;
    let within = n % plane;
    let gradBase = params.gradOffset + (batch * params.groups + group) * params.outPerGroup * plane + within;
    let base = params.xOffset + (batch * params.groups + group) * (params.inPerGroup * params.inHeight * params.inWidth);
    let row = select(NOWHERE, within / params.outWidth * params.strideY, isThere);
    let position = within % params.outWidth * params.strideX;
    for (var i = 0u; i < 4u; i++) {
      let quad = line + i * 4u;
      bTile[inner * ROW + quad] = vec4<f32>(
        loadInput(columns[quad * 4u], base, row, position),
        loadInput(columns[quad * 4u + 1u], base, row, position),
        loadInput(columns[quad * 4u + 2u], base, row, position),
        loadInput(columns[quad * 4u + 3u], base, row, position),
      );
      let channel = firstRow + quad * 4u;
      aTile[inner * ROW + quad] = vec4<f32>(
        loadGrad(channel, gradBase, isThere),
        loadGrad(channel + 1u, gradBase, isThere),
        loadGrad(channel + 2u, gradBase, isThere),
        loadGrad(channel + 3u, gradBase, isThere),
      );
    }
    workgroupBarrier();
    for (var k = 0u; k < STEP; k++) {
      let early = bTile[k * ROW + threadColumn];
      let late = bTile[k * ROW + 8u + threadColumn];
      let upper = aTile[k * ROW + threadRow * 2u];
      let lower = aTile[k * ROW + threadRow * 2u + 1u];
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
    let column = firstColumn + half * 32u + threadColumn * 4u;
    let count = min(4u, max(depth, column) - column);
    let at = (split * params.groups + group) * params.outPerGroup * depth + column;
    let isLate = half == 1u;
    store(row, at, count, depth, select(a0, b0, isLate));
    store(row + 1u, at, count, depth, select(a1, b1, isLate));
    store(row + 2u, at, count, depth, select(a2, b2, isLate));
    store(row + 3u, at, count, depth, select(a3, b3, isLate));
    store(row + 4u, at, count, depth, select(a4, b4, isLate));
    store(row + 5u, at, count, depth, select(a5, b5, isLate));
    store(row + 6u, at, count, depth, select(a6, b6, isLate));
    store(row + 7u, at, count, depth, select(a7, b7, isLate));
  }
}
