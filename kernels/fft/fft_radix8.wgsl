// One pass of radix 8 of the forward Fourier transform of rows of `length` complex numbers: combines transforms of
// `span` points, which lie interleaved in source, to transforms of 8 span points. After all passes, spans from 1 up,
// the row is in natural order. roots[i] = exp(-j 2 pi i / length). A thread makes one butterfly.
// Source: Govindaraju et al., "High performance discrete Fourier transforms on graphics processors" (2008), Stockham.
struct Params {
  length: u32,
  span: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;

alias Value = vec2<f32>;

fn turn(a: Value) -> Value {
  return vec2<f32>(a.y, -a.x);
}

fn multiply(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
  return vec2<f32>(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let eighth = params.length / 8u;
  if (id.x >= eighth) { return; }
  let row = id.y * params.length;
  let within = id.x % params.span;
  let step = within * (eighth / params.span);
  let p = row + id.x;
  let v = transform8(Octet(
    source[p],
    multiply(source[p + eighth], roots[step]),
    multiply(source[p + 2u * eighth], roots[2u * step]),
    multiply(source[p + 3u * eighth], roots[3u * step]),
    multiply(source[p + 4u * eighth], roots[4u * step]),
    multiply(source[p + 5u * eighth], roots[5u * step]),
    multiply(source[p + 6u * eighth], roots[6u * step]),
    multiply(source[p + 7u * eighth], roots[7u * step]),
  ));
  let q = row + (id.x - within) * 8u + within;
  for (var r = 0u; r < 8u; r++) { out[q + r * params.span] = v[r]; }
}
