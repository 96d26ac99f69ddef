// Layer norm and group norm: y = (x - mean) / sqrt(variance + eps) * weight[channel] + bias[channel] over each row.
// A row is `length` contiguous elements; element i belongs to channel
//   (row % groups) * channelsPerGroup + i / spatial
// so layer norm is (groups 1, spatial 1) and group norm over [batch, channels, spatial] is itself.
// Two passes, the mean first and then the squares about it: E[x^2] - mean^2 loses everything where the mean is large.
// In front: LANES, the threads that share a row; ELEMENTS, neighbours that a thread stores together: 1, or 4 where prepare()
// draws for them; InputElement and OutElement, the types in memory of x and out; AffineElement, that of weight and bias.
struct Params {
  rows: u32,
  length: u32,
  groups: u32,
  channelsPerGroup: u32,
  spatial: u32,
  offset: u32,
  weightOffset: u32,
  biasOffset: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<InputElement>;
@group(0) @binding(2) var<storage, read> weight: array<AffineElement>;
@group(0) @binding(3) var<storage, read> bias: array<AffineElement>;
@group(0) @binding(4) var<storage, read_write> out: array<OutElement>;
// [rows, 2]: mean and 1 / sqrt(variance + eps), for the gradient.
@group(0) @binding(5) var<storage, read_write> statistics: array<vec2<f32>>;

alias Scalar = f32;
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
  let ownRow = group.x + group.y * grid.x;
  let row = min(ownRow, params.rows - 1u);
  let base = row * params.length;
  let count = f32(params.length);
  var sum = 0.0;
  for (var i = lane; i < params.length; i += LANES) { sum += fetch(base + i); }
  var mean = total(lane, sum) / count;
  // The mean of what is left over mends the rounding of the first sum.
  sum = 0.0;
  for (var i = lane; i < params.length; i += LANES) { sum += fetch(base + i) - mean; }
  mean += total(lane, sum) / count;
  sum = 0.0;
  for (var i = lane; i < params.length; i += LANES) {
    let d = fetch(base + i) - mean;
    sum += d * d;
  }
  let inverse = inverseSqrt(total(lane, sum) / count + params.eps);
  let firstChannel = (row % params.groups) * params.channelsPerGroup;
  // Groups past the end joined in the barriers alone: what is stored may lie over what is read.
  if (ownRow >= params.rows) { return; }
  for (var first = ELEMENTS * lane; first < params.length; first += ELEMENTS * LANES) {
    prepare(base + first);
    for (var i = first; i < min(first + ELEMENTS, params.length); i++) {
      let channel = firstChannel + i / params.spatial;
      let hat = (fetch(base + i) - mean) * inverse;
      emit(base + i, hat * f32(weight[params.weightOffset + channel]) + f32(bias[params.biasOffset + channel]));
    }
  }
  if (lane == 0u) { statistics[row] = vec2<f32>(mean, inverse); }
}
