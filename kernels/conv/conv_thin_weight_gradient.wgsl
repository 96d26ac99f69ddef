// The product of conv_product_weight_gradient.wgsl where there are 16 of q at most, as in the first layer of an audio encoder:
// one input channel, ten taps. Here n counts (b, s, t), the clips included, and a split has `chunk` of them. A tile of 64
// channels x 16 of q, of which a thread makes 4 x 4: the gradient is read once and little is computed for nothing.
// In front: XElement, GradElement and OutElement, the types in memory. Sums are in f32.
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
// A row has 16 vec4 of channels and 4 of q; one more keeps rows in other banks.
const A_ROW = 17u;
const B_ROW = 5u;
var<workgroup> aTile: array<vec4<f32>, STEP * A_ROW>;
var<workgroup> bTile: array<vec4<f32>, STEP * B_ROW>;
// What each q means: where its channel begins in x, its shifts of row and column.
var<workgroup> columns: array<vec4<u32>, 16>;

const NOWHERE = 0x40000000u;

fn columnOf(q: u32, depth: u32, taps: u32) -> vec4<u32> {
  if (q >= depth) { return vec4<u32>(0u, NOWHERE, 0u, 0u); }
  let tap = q % taps;
  return vec4<u32>(
    q / taps * params.inHeight * params.inWidth,
    tap / params.kernelWidth * params.dilationY - params.paddingY,
    tap % params.kernelWidth * params.dilationX - params.paddingX,
    0u,
  );
}

// Positions before the start wrap around to huge numbers, which the test refuses.
fn loadInput(column: vec4<u32>, base: u32, row: u32, position: u32) -> f32 {
  let s = row + column.y;
  let t = position + column.z;
  let inside = s < params.inHeight && t < params.inWidth;
  return select(0.0, f32(x[select(0u, base + column.x + s * params.inWidth + t, inside)]), inside);
}

fn loadGrad(row: u32, base: u32, isThere: bool) -> f32 {
  let inside = isThere && row < params.outPerGroup;
  return select(0.0, f32(grad[select(0u, base + row * params.outHeight * params.outWidth, inside)]), inside);
}

fn store(row: u32, at: u32, count: u32, depth: u32, values: vec4<f32>) {
  if (row >= params.outPerGroup) { return; }
  for (var j = 0u; j < count; j++) { out[at + row * depth + j] = OutElement(values[j]); }
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
  let start = split * params.chunk;
  let end = min(params.batch * plane, start + params.chunk);
  if (lane < 16u) { columns[lane] = columnOf(lane, depth, taps); }
  workgroupBarrier();

  var c0 = vec4<f32>();
  var c1 = vec4<f32>();
  var c2 = vec4<f32>();
  var c3 = vec4<f32>();
  let threadRow = lane / 4u;
  let threadColumn = lane % 4u;
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
    bTile[inner * B_ROW + line] = vec4<f32>(
      loadInput(columns[line * 4u], base, row, position),
      loadInput(columns[line * 4u + 1u], base, row, position),
      loadInput(columns[line * 4u + 2u], base, row, position),
      loadInput(columns[line * 4u + 3u], base, row, position),
    );
    for (var i = 0u; i < 4u; i++) {
      let quad = line + i * 4u;
      let channel = firstRow + quad * 4u;
      aTile[inner * A_ROW + quad] = vec4<f32>(
        loadGrad(channel, gradBase, isThere),
        loadGrad(channel + 1u, gradBase, isThere),
        loadGrad(channel + 2u, gradBase, isThere),
        loadGrad(channel + 3u, gradBase, isThere),
      );
    }
    workgroupBarrier();
    for (var k = 0u; k < STEP; k++) {
      let x = bTile[k * B_ROW + threadColumn];
      let g = aTile[k * A_ROW + threadRow];
      c0 += g.x * x;
      c1 += g.y * x;
      c2 += g.z * x;
      c3 += g.w * x;
    }
    workgroupBarrier();
  }

  let row = firstRow + threadRow * 4u;
  let column = threadColumn * 4u;
  let count = min(4u, max(depth, column) - column);
  let at = (split * params.groups + group) * params.outPerGroup * depth + column;
  store(row, at, count, depth, c0);
  store(row + 1u, at, count, depth, c1);
  store(row + 2u, at, count, depth, c2);
  store(row + 3u, at, count, depth, c3);
}
