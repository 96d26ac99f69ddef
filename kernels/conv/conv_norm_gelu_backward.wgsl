// Gradients of conv_norm_gelu.wgsl with respect to weight, scale and shift, of each clip by itself. With h = (z - mean) inverse,
// y = h scale + shift and g = dy gelu'(y):
//   dshift = sum(g),  dscale = sum(g h),  dz = g - mean(g) - h mean(g h),  dweight[k] = inverse scale sum(dz x[stride step + k])
// In front: conv_norm_steps.wgsl and what it wants; ROWS, the rows a workgroup; AffineElement, the type in memory of scale and
// shift; GradElement, that of dy.
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
  statisticsOffset: u32,
  gradOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XElement>;
@group(0) @binding(2) var<storage, read> weight: array<WeightElement>;
@group(0) @binding(3) var<storage, read> scale: array<AffineElement>;
@group(0) @binding(4) var<storage, read> shift: array<AffineElement>;
@group(0) @binding(5) var<storage, read> statistics: array<f32>;
@group(0) @binding(6) var<storage, read> grad: array<GradElement>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>; // [clips, channels, KERNEL]
@group(0) @binding(8) var<storage, read_write> affine: array<f32>; // [clips, 2, channels]

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
  let rows = vec4<u32>(clip * params.channels) + channels;
  var taps: Taps;
  loadTaps(&taps, channels);
  var mean = vec4<f32>();
  var inverse = vec4<f32>();
  var factor = vec4<f32>();
  var term = vec4<f32>();
  for (var c = 0u; c < CHANNELS; c++) {
    let at = params.statisticsOffset + 2u * rows[c];
    let isOwn = ORDER == vec4<u32>(c);
    mean = select(mean, vec4<f32>(statistics[at]), isOwn);
    inverse = select(inverse, vec4<f32>(statistics[at + 1u]), isOwn);
    factor = select(factor, vec4<f32>(f32(scale[params.scaleOffset + channels[c]])), isOwn);
    term = select(term, vec4<f32>(f32(shift[params.shiftOffset + channels[c]])), isOwn);
  }

  var slopes = vec4<f32>(); // sum(g), and then its mean
  var products = vec4<f32>(); // sum(g h), and then its mean
  var sums: Taps; // dweight
  for (var sweep = 0u; sweep < 2u; sweep++) {
    for (var turn = 0u; turn < params.steps; turn += LANES) {
      stage(signal, turn, thread);
      let step = turn + lane;
      if (step < params.steps) {
        var window = windowAt(signal, step);
        let hat = (convolved(&taps, &window) - mean) * inverse;
        let y = hat * factor + term;
        var slope = vec4<f32>();
        for (var c = 0u; c < CHANNELS; c++) {
          let own = f32(grad[params.gradOffset + rows[c] * params.steps + step]) * geluDerivative(y[c]);
          slope = select(slope, vec4<f32>(own), ORDER == vec4<u32>(c));
        }
        if (sweep == 0u) {
          slopes += slope;
          products += slope * hat;
        } else {
          let dz = slope - slopes - hat * products;
          for (var k = 0u; k < KERNEL; k++) { // unroll
            sums[k] += dz * window[k];
          }
        }
      }
    }
    for (var i = 0u; i < select(KERNEL, 2u, sweep == 0u); i++) {
      var sum = select(slopes, products, i == 1u);
      if (sweep == 1u) {
        for (var k = 0u; k < KERNEL; k++) { // unroll
          sum = select(sum, sums[k], i == k);
        }
      }
      sum = rowReduce(thread, sum);
      if (sweep == 0u && i == 0u) { slopes = sum / f32(params.steps); }
      if (sweep == 0u && i == 1u) { products = sum / f32(params.steps); }
      if (sweep == 1u) { sum *= inverse * factor; }
      for (var c = 0u; c < CHANNELS; c++) {
        if (lane == 0u && own < params.rows && first + c < params.channels) {
          if (sweep == 1u) {
            out[rows[c] * KERNEL + i] = sum[c];
          } else {
            affine[(2u * clip + 1u - i) * params.channels + first + c] = sum[c];
          }
        }
      }
    }
  }
}
