// out[row, i] = scale * source[row, i] * factors[i] for rows of `length` complex numbers that become rows of `outLength`,
// cut or filled up with zeros: the steps of Bluestein's transform between its Fourier transforms. A thread makes one
// output of `count`.
// In front: INVERSE (the factors' conjugates).
// Source: Bluestein, "A linear filtering approach to the computation of discrete Fourier transform" (1970).
struct Params {
  length: u32,
  outLength: u32,
  count: u32,
  offset: u32,
  outOffset: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> factors: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.count) { return; }
  let place = i % params.outLength;
  var value = vec2<f32>();
  if (place < params.length) {
    let a = source[params.offset + i / params.outLength * params.length + place];
    let factor = factors[place];
    let b = select(factor.y, -factor.y, INVERSE);
    value = vec2<f32>(a.x * factor.x - a.y * b, a.x * b + a.y * factor.x) * params.scale;
  }
  out[params.outOffset + i] = value;
}
