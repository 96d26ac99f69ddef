// Functions that kernels of weight gradients as products of matrices share: what each q, which counts (c, j, k), means, and
// how x and the gradient are read. See conv_tiled_weight_gradient.wgsl, whose Params they use.
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
