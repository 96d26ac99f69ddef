// The spectrum of rows of 2 half real numbers, at frequencies 0 .. half, from the transform z of the same numbers taken as
// rows of half complex ones: the spectra of the even and of the odd places come apart by their symmetry. Times `scale`, and
// `interior` at all frequencies but the first and the last. roots[i] = exp(-j 2 pi i / (2 half)). A thread makes one
// output of `count`.
struct Params {
  half: u32,
  count: u32,
  scale: f32,
  interior: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.count) { return; }
  let half = params.half;
  let row = i / (half + 1u) * half;
  let f = i % (half + 1u);
  let atEnd = f == 0u || f == half;
  let a = z[row + select(f, 0u, atEnd)];
  let b = z[row + select(half - f, 0u, atEnd)];
  let even = vec2<f32>(a.x + b.x, a.y - b.y);
  let odd = vec2<f32>(a.y + b.y, b.x - a.x);
  let root = roots[f];
  let sum = even + vec2<f32>(odd.x * root.x - odd.y * root.y, odd.x * root.y + odd.y * root.x);
  out[i] = 0.5 * params.scale * select(params.interior, 1.0, atEnd) * sum;
}
