// Layer norm and group norm: y = (x - mean) / sqrt(variance + eps) * weight[channel] + bias[channel] over each row.
// A row is `length` contiguous elements; element i belongs to channel
//   (row % groups) * channelsPerGroup + i / spatial
// so layer norm is (groups 1, spatial 1) and group norm over [batch, channels, spatial] is itself.
// Two passes, the mean first and then the squares about it: E[x^2] - mean^2 loses everything where the mean is large.
// In front: LANES, the threads that share a row; Element, the type in memory of x and out; AffineElement, that of weight and bias.
struct Params {
  rows: u32,
  length: u32,
  groups: u32,
  channelsPerGroup: u32,
  spatial: u32,
  xOffset: u32,
  weightOffset: u32,
  biasOffset: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> weight: array<AffineElement>;
@group(0) @binding(3) var<storage, read> bias: array<AffineElement>;
@group(0) @binding(4) var<storage, read_write> out: array<Element>;
// [rows, 2]: mean and 1 / sqrt(variance + eps), for the gradient.
@group(0) @binding(5) var<storage, read_write> statistics: array<vec2<f32>>;

var<workgroup> partial: array<f32, LANES>;

fn total(lane: u32, value: f32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  let sum = partial[0];
  workgroupBarrier();
  return sum;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = min(group.x + group.y * grid.x, params.rows - 1u);
  let base = row * params.length;
  let start = params.xOffset + base;
  let count = f32(params.length);
  var sum = 0.0;
  for (var i = lane; i < params.length; i += LANES) { sum += f32(x[start + i]); }
  var mean = total(lane, sum) / count;
  // The mean of what is left over mends the rounding of the first sum.
  sum = 0.0;
  for (var i = lane; i < params.length; i += LANES) { sum += f32(x[start + i]) - mean; }
  mean += total(lane, sum) / count;
  sum = 0.0;
  for (var i = lane; i < params.length; i += LANES) {
    let d = f32(x[start + i]) - mean;
    sum += d * d;
  }
  let inverse = inverseSqrt(total(lane, sum) / count + params.eps);
  let firstChannel = (row % params.groups) * params.channelsPerGroup;
  for (var i = lane; i < params.length; i += LANES) {
    let channel = firstChannel + i / params.spatial;
    let hat = (f32(x[start + i]) - mean) * inverse;
    out[base + i] = Element(hat * f32(weight[params.weightOffset + channel]) + f32(bias[params.biasOffset + channel]));
  }
  if (lane == 0u) { statistics[row] = vec2<f32>(mean, inverse); }
}
