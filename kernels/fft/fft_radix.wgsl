// One pass of any radix of the forward Fourier transform of rows of `length` complex numbers, as fft_radix8 is one of
// radix 8: combines transforms of `span` points to transforms of radix span points by the sum that defines them.
// roots[i] = exp(-j 2 pi i / length). A thread makes one output.
struct Params {
  length: u32,
  span: u32,
  radix: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;

fn multiply(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
  return vec2<f32>(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let length = params.length;
  if (id.x >= length) { return; }
  let row = id.y * length;
  let stride = length / params.radix;
  let wide = params.span * params.radix;
  let butterfly = id.x / wide * params.span + id.x % params.span;
  // The twiddle factors and the transform of `radix` points in one angle a step.
  let step = (id.x % wide) * (length / wide);
  var sum = source[row + butterfly];
  var angle = step;
  for (var r = 1u; r < params.radix; r++) {
    sum += multiply(source[row + butterfly + r * stride], roots[angle]);
    angle += step;
    angle -= select(0u, length, angle >= length);
  }
  out[row + id.x] = sum;
}
