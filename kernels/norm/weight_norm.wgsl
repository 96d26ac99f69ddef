// out = g v / |v| (Salimans and Kingma, 2016), |v| the length of each column of v [rows, columns], from the sums of
// weight_norm_sums.wgsl, each chunk's by itself. A workgroup takes 32 columns of a chunk of rows with 8 threads each; each
// thread adds its column's sums, always in the same order.
// In front: Element, ScaleElement and OutElement, the types in memory of v, g and out.
struct Params {
  rows: u32,
  columns: u32,
  chunk: u32,
  chunks: u32,
  offset: u32,
  scaleOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> v: array<Element>;
@group(0) @binding(2) var<storage, read> g: array<ScaleElement>;
@group(0) @binding(3) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<OutElement>;

@compute @workgroup_size(32, 8)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let column = group.x * 32u + local.x;
  if (column >= params.columns) { return; }
  var squares = 0.0;
  for (var i = 0u; i < params.chunks; i++) { squares += sums[i * params.columns + column].x; }
  let scale = f32(g[params.scaleOffset + column]) * inverseSqrt(squares);
  let end = min(params.rows, (group.y + 1u) * params.chunk);
  for (var row = group.y * params.chunk + local.y; row < end; row += 8u) {
    let at = row * params.columns + column;
    emit(at, f32(v[params.offset + at]) * scale);
  }
}
