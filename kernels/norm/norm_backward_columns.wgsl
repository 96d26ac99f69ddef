// Gradients of a layer norm's weight and bias, as norm_backward_affine.wgsl, over chunks of rows: out[chunk] is [2, length],
// the sums of dy xhat and of dy. A thread sums one column of a chunk, so that neighbouring threads read neighbouring elements.
// In front: Element, the type in memory of x and grad.
struct Params {
  rows: u32,
  length: u32,
  chunk: u32,
  chunks: u32,
  xOffset: u32,
  gradOffset: u32,
  statisticsOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> statistics: array<f32>;
@group(0) @binding(3) var<storage, read> grad: array<Element>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.chunks * params.length) { return; }
  let column = i % params.length;
  let chunk = i / params.length;
  let end = min(params.rows, (chunk + 1u) * params.chunk);
  var sums = vec2<f32>();
  for (var row = chunk * params.chunk; row < end; row++) {
    let at = row * params.length + column;
    let g = f32(grad[params.gradOffset + at]);
    let mean = statistics[params.statisticsOffset + 2u * row];
    let inverse = statistics[params.statisticsOffset + 2u * row + 1u];
    sums += vec2<f32>(g * (f32(x[params.xOffset + at]) - mean) * inverse, g);
  }
  let first = 2u * chunk * params.length + column;
  out[first] = sums.x;
  out[first + params.length] = sums.y;
}
