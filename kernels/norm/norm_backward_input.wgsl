// Gradient of norm.wgsl with respect to x:
//   dx = inverse (g - mean(g) - xhat mean(g xhat)),  g = dy weight[channel],  xhat = (x - mean) inverse
// In front: LANES, the threads that share a row; ELEMENTS, neighbours that a thread stores together: 1, or 4 where prepare()
// draws for them; Element, the type in memory of x and grad; AffineElement and OutElement, those of weight and out.
struct Params {
  rows: u32,
  length: u32,
  groups: u32,
  channelsPerGroup: u32,
  spatial: u32,
  xOffset: u32,
  weightOffset: u32,
  gradOffset: u32,
  statisticsOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> weight: array<AffineElement>;
@group(0) @binding(3) var<storage, read> statistics: array<f32>;
@group(0) @binding(4) var<storage, read> grad: array<Element>;
@group(0) @binding(5) var<storage, read_write> out: array<OutElement>;

var<workgroup> partial: array<vec2<f32>, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let ownRow = group.x + group.y * grid.x;
  let row = min(ownRow, params.rows - 1u);
  let base = row * params.length;
  let mean = statistics[params.statisticsOffset + 2u * row];
  let inverse = statistics[params.statisticsOffset + 2u * row + 1u];
  let firstChannel = params.weightOffset + (row % params.groups) * params.channelsPerGroup;
  var sums = vec2<f32>();
  for (var i = lane; i < params.length; i += LANES) {
    let g = f32(grad[params.gradOffset + base + i]) * f32(weight[firstChannel + i / params.spatial]);
    sums += vec2<f32>(g, g * (f32(x[params.xOffset + base + i]) - mean) * inverse);
  }
  partial[lane] = sums;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  let means = partial[0] / f32(params.length);
  // Groups past the end joined in the barriers alone: what is stored may lie over what is read.
  if (ownRow >= params.rows) { return; }
  for (var first = ELEMENTS * lane; first < params.length; first += ELEMENTS * LANES) {
    prepare(base + first);
    for (var i = first; i < min(first + ELEMENTS, params.length); i++) {
      let g = f32(grad[params.gradOffset + base + i]) * f32(weight[firstChannel + i / params.spatial]);
      let xhat = (f32(x[params.xOffset + base + i]) - mean) * inverse;
      emit(base + i, inverse * (g - means.x - xhat * means.y));
    }
  }
}
