// Rows of half complex numbers whose inverse transform holds 2 half real numbers, from their spectrum x at frequencies
// 0 .. half: the opposite of rfft_split. The imaginary parts of the first and the last frequency count for nothing; all
// others are multiplied by interior / 2. roots[i] = exp(-j 2 pi i / (2 half)). A thread makes one output of `count`.
struct Params {
  half: u32,
  count: u32,
  offset: u32,
  interior: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.count) { return; }
  let half = params.half;
  let row = params.offset + i / half * (half + 1u);
  let f = i % half;
  let factor = select(vec2<f32>(0.5 * params.interior), vec2<f32>(1.0, 0.0), f == 0u);
  let a = x[row + f] * factor;
  let b = x[row + half - f] * factor;
  let even = vec2<f32>(a.x + b.x, a.y - b.y);
  let odd = vec2<f32>(a.x - b.x, a.y + b.y);
  let root = roots[f];
  // j conj(root) odd
  out[i] = even + vec2<f32>(odd.x * root.y - odd.y * root.x, odd.x * root.x + odd.y * root.y);
}
