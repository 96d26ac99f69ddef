// gelu((z - mean) / sqrt(variance + eps) * scale + shift) of z, a convolution of a signal of one channel, each channel of each clip
// normalised over its steps: mean first, then squares about it, and what the rounding of the mean leaves (see norm.wgsl).
// In front: conv_norm_steps.wgsl and what it wants; ROWS, the rows a workgroup; AffineElement, the type in memory of scale and
// shift; OutElement, that of out.
struct Params {
  rows: u32,
  blocks: u32,
  channels: u32,
  length: u32,
  steps: u32,
  xOffset: u32,
  weightOffset: u32,
  scaleOffset: u32,
  shiftOffset: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XElement>;
@group(0) @binding(2) var<storage, read> weight: array<WeightElement>;
@group(0) @binding(3) var<storage, read> scale: array<AffineElement>;
@group(0) @binding(4) var<storage, read> shift: array<AffineElement>;
@group(0) @binding(5) var<storage, read_write> out: array<OutElement>;
@group(0) @binding(6) var<storage, read_write> statistics: array<vec2<f32>>;

@compute @workgroup_size(LANES * ROWS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let own = (group.x + group.y * grid.x) * ROWS + thread / LANES;
  let lane = thread % LANES;
  // Rows past the end are the last once more, and not stored.
  let row = min(own, params.rows - 1u);
  let clip = row / params.blocks;
  let first = row % params.blocks * CHANNELS;
  let signal = params.xOffset + clip * params.length;
  let channels = channelsFrom(first);
  var taps: Taps;
  loadTaps(&taps, channels);

  let count = f32(params.steps);
  var mean = vec4<f32>();
  var about = vec4<f32>();
  var inverse = vec4<f32>();
  // The mean, and then what is left of it and the squares about it.
  for (var sweep = 0u; sweep < 2u; sweep++) {
    var sum = vec4<f32>();
    var squares = vec4<f32>();
    for (var turn = 0u; turn < params.steps; turn += LANES) {
      stage(signal, turn, thread);
      if (turn + lane < params.steps) {
        var window = windowAt(signal, turn + lane);
        let d = convolved(&taps, &window) - mean;
        sum += d;
        squares += d * d;
      }
    }
    for (var i = 0u; i < 2u; i++) {
      let joined = rowReduce(thread, select(sum, squares, i == 1u)) / count;
      if (sweep == 0u && i == 0u) { mean = joined; }
      if (sweep == 1u && i == 0u) { about = joined; }
      if (sweep == 1u && i == 1u) { inverse = inverseSqrt(joined - about * about + params.eps); }
    }
  }
  var factor = vec4<f32>();
  var term = vec4<f32>();
  for (var c = 0u; c < CHANNELS; c++) {
    factor = select(factor, inverse * f32(scale[params.scaleOffset + channels[c]]), ORDER == vec4<u32>(c));
    term = select(term, vec4<f32>(f32(shift[params.shiftOffset + channels[c]])), ORDER == vec4<u32>(c));
    if (lane == 0u && own < params.rows && first + c < params.channels) {
      statistics[clip * params.channels + first + c] = vec2<f32>(mean[c] + about[c], inverse[c]);
    }
  }
  for (var turn = 0u; turn < params.steps; turn += LANES) {
    stage(signal, turn, thread);
    let step = turn + lane;
    if (step < params.steps && own < params.rows) {
      var window = windowAt(signal, step);
      // The mean and its rounding apart: their sum would round again.
      let y = (convolved(&taps, &window) - mean - about) * factor + term;
      for (var c = 0u; c < min(CHANNELS, params.channels - first); c++) {
        emit((clip * params.channels + first + c) * params.steps + step, gelu(y[c]));
      }
    }
  }
}
