// One pass of any radix of the Fourier transform of rows of `length` complex numbers, as fft_radix8 is one of radix 8:
// combines transforms of `span` points to transforms of radix span points by the sum that defines them, times `scale`.
// roots[i] = exp(-j 2 pi i / length). A thread makes one output of `count`.
// In front: INVERSE (exponents with a plus).
struct Params {
  length: u32,
  span: u32,
  radix: u32,
  count: u32,
  offset: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;

fn rotate(a: vec2<f32>, step: u32) -> vec2<f32> {
  let root = roots[step];
  let b = select(root.y, -root.y, INVERSE);
  return vec2<f32>(a.x * root.x - a.y * b, a.x * b + a.y * root.x);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.count) { return; }
  let length = params.length;
  let place = i % length;
  let stride = length / params.radix;
  let wide = params.span * params.radix;
  let p = params.offset + i - place + place / wide * params.span + place % params.span;
  // The twiddle factors and the transform of `radix` points in one angle a step.
  let step = (place % wide) * (length / wide);
  var sum = source[p];
  var angle = step;
  for (var r = 1u; r < params.radix; r++) {
    sum += rotate(source[p + r * stride], angle);
    angle += step;
    angle -= select(0u, length, angle >= length);
  }
  out[i] = sum * params.scale;
}
