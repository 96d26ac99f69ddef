// Splits the transform z of a pair of real segments a + j b into both spectra, over the frequencies that filters use:
// out[pair, 0, i] = (re A, im A, re B, im B) at frequency lowest + i, which may be negative; out[pair, 1, i] is the same
// a half sample later, times exp(-j pi f / length): what filters of odd length see. Both are as loud again as their segments; of
// one that is not finite all is NaN.
// roots[i] = exp(-j 2 pi i / length); (halfRe, halfIm) = exp(-j pi / length); lowest is the bits of an i32.
struct Params {
  length: u32,
  width: u32,
  lowest: u32,
  halfRe: f32,
  halfIm: f32,
  segments: u32,
  firstPair: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

fn multiply(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
  return vec2<f32>(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

fn scaleOf(segment: u32) -> f32 {
  if (segment >= params.segments) { return 0.0; }
  let bits = scales[segment];
  return bitcast<f32>(select(bits, bits | 0x00400000u, bits == 0x7f800000u));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(64u, 1u, 1u);
  if (id.x >= params.width) { return; }
  let length = i32(params.length);
  let f = bitcast<i32>(params.lowest) + i32(id.x);
  let at = u32((f % length + length) % length);
  let row = id.y * params.length;
  let p = z[row + at];
  let q = z[row + select(params.length - at, 0u, at == 0u)];
  let segment = 2u * (params.firstPair + id.y);
  let spectra = 0.5 * vec4<f32>(vec2<f32>(p.x + q.x, p.y - q.y) * scaleOf(segment), vec2<f32>(p.y + q.y, q.x - p.x) * scaleOf(segment + 1u));
  out[2u * id.y * params.width + id.x] = spectra;
  // exp(-j pi f / length) from the root of half f, which floors, and one half step more where f is odd.
  let floored = f >> 1u;
  let root = roots[u32((floored % length + length) % length)];
  let half = select(root, multiply(root, vec2<f32>(params.halfRe, params.halfIm)), (f & 1) == 1);
  out[(2u * id.y + 1u) * params.width + id.x] = vec4<f32>(multiply(spectra.xy, half), multiply(spectra.zw, half));
}
