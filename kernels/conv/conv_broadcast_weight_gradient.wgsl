// The gradient of a convolution's weight, what conv_product_weight_gradient.wgsl makes, for adapters that run shaders on the CPU and
// have subgroups (lib/broadcast_product.wgsl, which stands in front): out[split, o, q], where q counts (c, j, k), a subgroup 8
// SUBGROUP of q, eight neighbours a thread, by COLUMNS channels. What is summed is rows of the output's planes, of all clips one
// behind the other: a split has `rows` of them, and of each `chunk` places.
// In front: SUBGROUP, COLUMNS; KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE_Y and STRIDE_X; AElement, BElement and OutElement, the types in
// memory of x, which is padded already, of the output's gradient and of the sums, which are made in f32.
struct Params {
  batch: u32,
  inPerGroup: u32,
  inHeight: u32,
  inWidth: u32,
  outPerGroup: u32,
  outHeight: u32,
  outWidth: u32,
  dilationY: u32,
  dilationX: u32,
  groups: u32,
  rows: u32,
  chunk: u32,
  xOffset: u32,
  gradOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AElement>;
@group(0) @binding(2) var<storage, read> b: array<BElement>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

const TAPS = KERNEL_HEIGHT * KERNEL_WIDTH;

fn aAt(at: u32) -> f32 { return f32(a[at]); }
fn bAt(at: u32) -> f32 { return f32(b[at]); }

// Where the first places of channels and taps lie.
fn startOf(q: vec4<u32>) -> vec4<u32> {
  let tap = q % TAPS;
  let row = tap / KERNEL_WIDTH * params.dilationY;
  return (q / TAPS * params.inHeight + row) * params.inWidth + tap % KERNEL_WIDTH * params.dilationX;
}

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let workgroup = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let group = workgroup.z % params.groups;
  let split = workgroup.z / params.groups;
  let parts = (params.outWidth + params.chunk - 1u) / params.chunk;
  let firstRow = split / parts * params.rows;
  let endRow = min(firstRow + params.rows, params.batch * params.outHeight);
  let firstPlace = split % parts * params.chunk;
  let terms = min(params.chunk, params.outWidth - firstPlace);
  let depth = params.inPerGroup * TAPS;
  let q = workgroup.x * 8u * SUBGROUP + lane * 8u;
  let channel = workgroup.y * COLUMNS;
  // What is past the edge reads the last one and is not stored.
  let four = vec4<u32>(0u, 1u, 2u, 3u);
  let upperStart = startOf(min(q + four, vec4<u32>(depth - 1u)));
  let lowerStart = startOf(min(q + 4u + four, vec4<u32>(depth - 1u)));
  let inPlane = params.inHeight * params.inWidth;
  let outPlane = params.outHeight * params.outWidth;
  var upper = Sums();
  var lower = Sums();
  for (var row = firstRow; row < endRow; row++) {
    let clip = row / params.outHeight * params.groups + group;
    let s = row % params.outHeight;
    let inputs = params.xOffset + clip * params.inPerGroup * inPlane + s * STRIDE_Y * params.inWidth + firstPlace * STRIDE_X;
    let grads = params.gradOffset + clip * params.outPerGroup * outPlane + s * params.outWidth + firstPlace;
    var columns = array<u32, LOADS>();
    for (var i = 0u; i < LOADS; i++) { // unroll
      columns[i] = grads + min(channel + i * SUBGROUP + lane, params.outPerGroup - 1u) * outPlane;
    }
    addProducts(&upper, &lower, allThere(inputs + upperStart), allThere(inputs + lowerStart), STRIDE_X, columns, 1u, terms);
  }
  let mine = lane * 8u * FOURS;
  keepByColumns(mine, &upper, &lower);
  for (var c = 0u; c < COLUMNS; c++) {
    if (channel + c >= params.outPerGroup) { break; }
    let base = ((split * params.groups + group) * params.outPerGroup + channel + c) * depth;
    for (var i = 0u; i < 8u; i++) {
      if (q + i >= depth) { break; }
      out[base + q + i] = OutElement(made[mine + 2u * c + i / 4u][i % 4u]);
    }
  }
}
