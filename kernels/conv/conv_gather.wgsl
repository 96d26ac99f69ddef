// Functions that kernels of convolutions as products of matrices share: what each q, which counts (c, j, k), means, and how
// x and the weight are read there. See conv_tiled.wgsl, whose Params they use; TRANSPOSED stands in front.
const NOWHERE = 0x40000000u;

// Taps along one axis: the first, how far apart, how many; and outputs along it.
struct Axis {
  first: u32,
  step: u32,
  taps: u32,
  outputs: u32,
}

// The phase of the transpose, (x, y).
fn phaseOf(i: u32) -> vec2<u32> {
  if (!TRANSPOSED) { return vec2<u32>(); }
  return vec2<u32>(i % params.strideX, i / params.strideX);
}

fn axisOf(phase: u32, stride: u32, padding: u32, dilation: u32, kernel: u32, tapStep: u32, extent: u32) -> Axis {
  if (!TRANSPOSED) { return Axis(0u, 1u, kernel, extent); }
  var first = 0u;
  loop {
    if (first >= tapStep || (i32(phase + padding) - i32(first * dilation)) % i32(stride) == 0) { break; }
    first++;
  }
  let outputs = (max(extent, phase) - phase + stride - 1u) / stride;
  if (first >= min(tapStep, kernel)) { return Axis(0u, 1u, 0u, outputs); }
  return Axis(first, tapStep, (kernel - 1u - first) / tapStep + 1u, outputs);
}

fn shiftOf(tap: u32, phase: u32, stride: u32, padding: u32, dilation: u32) -> u32 {
  if (TRANSPOSED) { return bitcast<u32>((i32(phase + padding) - i32(tap * dilation)) / i32(stride)); }
  return tap * dilation - padding;
}

fn stepOf(q: u32, phase: vec2<u32>, rows: Axis, columns: Axis) -> vec4<u32> {
  let taps = rows.taps * columns.taps;
  if (q >= params.inPerGroup * taps) { return vec4<u32>(0u, NOWHERE, 0u, NOWHERE); }
  let channel = q / taps;
  let tap = q % taps;
  let j = rows.first + tap / columns.taps * rows.step;
  let k = columns.first + tap % columns.taps * columns.step;
  let place = j * params.kernelWidth + k;
  let all = params.kernelHeight * params.kernelWidth;
  return vec4<u32>(
    channel * params.inHeight * params.inWidth,
    shiftOf(j, phase.y, params.strideY, params.paddingY, params.dilationY),
    shiftOf(k, phase.x, params.strideX, params.paddingX, params.dilationX),
    select(q, channel * params.outPerGroup * all + place, TRANSPOSED),
  );
}

// Positions before the start wrap around to huge numbers, which the test refuses.
fn loadInput(plane: u32, row: u32, column: u32) -> f32 {
  let inside = row < params.inHeight && column < params.inWidth;
  return select(0.0, f32(x[select(0u, plane + row * params.inWidth + column, inside)]), inside);
}

fn loadWeight(row: u32, stride: u32, base: u32, place: u32) -> f32 {
  let inside = row < params.outPerGroup && place != NOWHERE;
  return select(0.0, f32(weight[select(0u, base + row * stride + place, inside)]), inside);
}

// Where outputs lie at four places from n on, in the group's first channel.
fn outputsAt(n: u32, rows: Axis, columns: Axis, phase: vec2<u32>, group: u32) -> vec4<u32> {
  let plane = rows.outputs * columns.outputs;
  let four = n + vec4<u32>(0u, 1u, 2u, 3u);
  let within = four % plane;
  let step = select(vec2<u32>(1u), vec2<u32>(params.strideX, params.strideY), TRANSPOSED);
  let s = phase.y + within / columns.outputs * step.y;
  let t = phase.x + within % columns.outputs * step.x;
  let first = (four / plane * params.groups + group) * (params.outPerGroup * params.outHeight * params.outWidth);
  return first + s * params.outWidth + t;
}
