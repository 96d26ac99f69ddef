// What the kernels of convolutions as products share (conv_product.wgsl, conv_broadcast.wgsl); stands in front of them. One of `a` and
// `b` is the weight, the other what is convolved, in the transpose the gradient; `in` is its sizes and channels.
// In front: TRANSPOSED; IN_PER_GROUP, KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE_Y and STRIDE_X, which are divided by; AElement, BElement and
// OutElement, the types in memory.
struct Params {
  inHeight: u32,
  inWidth: u32,
  outPerGroup: u32,
  outHeight: u32,
  outWidth: u32,
  paddingY: u32,
  paddingX: u32,
  dilationY: u32,
  dilationX: u32,
  tapStepY: u32,
  tapStepX: u32,
  groups: u32,
  phases: u32,
  xOffset: u32,
  weightOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AElement>;
@group(0) @binding(2) var<storage, read> b: array<BElement>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

const TAPS = KERNEL_HEIGHT * KERNEL_WIDTH;

// Taps along one axis: the first, how far apart, how many; the phase of the outputs, and how many there are. The transpose goes by phases
// of the stride: outputs at phase + u stride meet the same taps k, namely those for which phase + padding - k dilation is a
// multiple of the stride, at y[u + (phase + padding - k dilation) / stride].
struct Axis {
  first: u32,
  step: u32,
  taps: u32,
  phase: u32,
  outputs: u32,
}

fn axisOf(phase: u32, stride: u32, padding: u32, dilation: u32, kernel: u32, tapStep: u32, extent: u32) -> Axis {
  if (!TRANSPOSED) { return Axis(0u, 1u, kernel, 0u, extent); }
  var first = 0u;
  loop {
    if (first >= tapStep || (i32(phase + padding) - i32(first * dilation)) % i32(stride) == 0) { break; }
    first++;
  }
  let outputs = (max(extent, phase) - phase + stride - 1u) / stride;
  if (first >= min(tapStep, kernel)) { return Axis(0u, 1u, 0u, phase, outputs); }
  return Axis(first, tapStep, (kernel - 1u - first) / tapStep + 1u, phase, outputs);
}

// How far from where an output's window begins a tap reads.
fn shiftOf(tap: u32, axis: Axis, stride: u32, padding: u32, dilation: u32) -> u32 {
  if (TRANSPOSED) { return bitcast<u32>((i32(axis.phase + padding) - i32(tap * dilation)) / i32(stride)); }
  return tap * dilation - padding;
}

// What a workgroup's z counts: a group's part of a clip's outputs of one phase.
struct Part {
  // Where the group's weights, the clip's inputs and its outputs begin.
  weights: u32,
  inputs: u32,
  outputs: u32,
  y: Axis,
  x: Axis,
}

fn partOf(z: u32) -> Part {
  let group = z % params.groups;
  let phase = z / params.groups % params.phases;
  let clip = z / params.groups / params.phases * params.groups + group;
  return Part(
    params.weightOffset + group * params.outPerGroup * IN_PER_GROUP * TAPS,
    params.xOffset + clip * IN_PER_GROUP * params.inHeight * params.inWidth,
    clip * params.outPerGroup * params.outHeight * params.outWidth,
    axisOf(phase / STRIDE_X, STRIDE_Y, params.paddingY, params.dilationY, KERNEL_HEIGHT, params.tapStepY, params.outHeight),
    axisOf(phase % STRIDE_X, STRIDE_X, params.paddingX, params.dilationX, KERNEL_WIDTH, params.tapStepX, params.outWidth),
  );
}
