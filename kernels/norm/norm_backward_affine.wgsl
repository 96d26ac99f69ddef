// Gradients of norm.wgsl's weight and bias: the threads of a channel sum dy xhat and dy over every row that holds it.
// out is [2, channels]: weight, then bias.
// In front: LANES and ROWS, the threads that share a channel and the channels a workgroup; Element, the type in memory of x and grad.
struct Params {
  rows: u32,
  length: u32,
  groups: u32,
  channelsPerGroup: u32,
  spatial: u32,
  xOffset: u32,
  gradOffset: u32,
  statisticsOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> statistics: array<f32>;
@group(0) @binding(3) var<storage, read> grad: array<Element>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(LANES * ROWS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let channels = params.groups * params.channelsPerGroup;
  let channel = (group.x + group.y * grid.x) * ROWS + thread / LANES;
  let firstRow = channel / params.channelsPerGroup;
  let within = (channel % params.channelsPerGroup) * params.spatial;
  let count = select(0u, (params.rows / params.groups) * params.spatial, channel < channels);
  var sums = vec2<f32>();
  for (var i = thread % LANES; i < count; i += LANES) {
    let row = firstRow + (i / params.spatial) * params.groups;
    let at = row * params.length + within + i % params.spatial;
    let g = f32(grad[params.gradOffset + at]);
    let mean = statistics[params.statisticsOffset + 2u * row];
    let inverse = statistics[params.statisticsOffset + 2u * row + 1u];
    sums += vec2<f32>(g * (f32(x[params.xOffset + at]) - mean) * inverse, g);
  }
  let all = rowReduce(thread, sums);
  if (thread % LANES == 0u && channel < channels) {
    out[channel] = all.x;
    out[channels + channel] = all.y;
  }
}
