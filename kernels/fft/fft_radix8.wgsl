// One pass of radix 8 of the Fourier transform of rows of `length` complex numbers: combines transforms of `span` points,
// which lie interleaved in source behind `offset`, to transforms of 8 span points, times `scale`. After all passes, spans
// from 1 up, the row is in natural order. roots[i] = exp(-j 2 pi i / length). A thread makes one butterfly of `count`.
// In front: INVERSE (exponents with a plus).
// Source: Govindaraju et al., "High performance discrete Fourier transforms on graphics processors" (2008), Stockham.
struct Params {
  length: u32,
  span: u32,
  count: u32,
  offset: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;

alias Value = vec2<f32>;

fn turn(a: Value) -> Value {
  if (INVERSE) { return vec2<f32>(-a.y, a.x); }
  return vec2<f32>(a.y, -a.x);
}

fn rotate(a: vec2<f32>, step: u32) -> vec2<f32> {
  let root = roots[step];
  let b = select(root.y, -root.y, INVERSE);
  return vec2<f32>(a.x * root.x - a.y * b, a.x * b + a.y * root.x);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.count) { return; }
  let eighth = params.length / 8u;
  let row = i / eighth * params.length;
  let butterfly = i % eighth;
  let within = butterfly % params.span;
  let step = within * (eighth / params.span);
  let p = params.offset + row + butterfly;
  let v = transform8(Octet(
    source[p],
    rotate(source[p + eighth], step),
    rotate(source[p + 2u * eighth], 2u * step),
    rotate(source[p + 3u * eighth], 3u * step),
    rotate(source[p + 4u * eighth], 4u * step),
    rotate(source[p + 5u * eighth], 5u * step),
    rotate(source[p + 6u * eighth], 6u * step),
    rotate(source[p + 7u * eighth], 7u * step),
  ));
  let q = row + (butterfly - within) * 8u + within;
  for (var r = 0u; r < 8u; r++) { out[q + r * params.span] = v[r] * params.scale; }
}
