// The taps that a convolution's outputs meet, along one axis. The transpose goes by phases of the stride: outputs at
// phase + u stride meet the same taps k, namely those for which phase + padding - k dilation is a multiple of the stride, at
// y[u + (phase + padding - k dilation) / stride].
// Behind, the kernel has TRANSPOSED in front.

// Taps along one axis: the first, how far apart, how many; the phase of the outputs, and how many there are.
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
