// Gradients of weight_norm.wgsl: out = g / |v| (dw - v (sum v dw) / |v|^2) and gradient of g = (sum v dw) / |v|, from the
// sums of weight_norm_sums.wgsl, each chunk's by itself. Threads as there.
// In front: Element, ScaleElement, GradElement and OutElement, the types in memory of v, g, dw and both outputs.
struct Params {
  rows: u32,
  columns: u32,
  chunk: u32,
  chunks: u32,
  offset: u32,
  scaleOffset: u32,
  gradOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> v: array<Element>;
@group(0) @binding(2) var<storage, read> g: array<ScaleElement>;
@group(0) @binding(3) var<storage, read> grad: array<GradElement>;
@group(0) @binding(4) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<OutElement>;
@group(0) @binding(6) var<storage, read_write> scaleGrad: array<ScaleElement>;

@compute @workgroup_size(32, 8)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let column = group.x * 32u + local.x;
  if (column >= params.columns) { return; }
  var sum = vec2<f32>();
  for (var i = 0u; i < params.chunks; i++) { sum += sums[i * params.columns + column]; }
  let inverse = inverseSqrt(sum.x);
  let along = sum.y * inverse;
  if (group.y == 0u && local.y == 0u) { scaleGrad[column] = ScaleElement(along); }
  let scale = f32(g[params.scaleOffset + column]) * inverse;
  let share = along * inverse;
  let end = min(params.rows, (group.y + 1u) * params.chunk);
  for (var row = group.y * params.chunk + local.y; row < end; row += 8u) {
    let at = row * params.columns + column;
    emit(at, scale * (f32(grad[params.gradOffset + at]) - f32(v[params.offset + at]) * share));
  }
}
