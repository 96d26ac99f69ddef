// Counter-based random numbers: element i takes number i % 4 of block i / 4 (draws.wgsl, which stands in front), so a draw
// depends on seed, stream and index alone: not on the adapter, the grid or what was drawn before.
// In front: STEPPED (whether steps[0] * 2^20 is added to the stream, so that a replayed draw is a fresh one), DISTRIBUTION
// (0 uniform in [0, 1), 1 standard normal, 2 dropout of x); Element, the type in memory.
struct Params {
  size: u32,
  seedLow: u32,
  seedHigh: u32,
  streamLow: u32,
  streamHigh: u32,
  xOffset: u32,
  // Uniform and normal: out = draw * scale + shift. Dropout: kept with probability 1 - shift, times scale.
  scale: f32,
  shift: f32,
  // Uniform: what draws must stay below, or what would be rounded to that in memory.
  high: f32,
  stepOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> steps: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let block = id.x + id.y * groups.x * 64u;
  if (block * 4u >= params.size) { return; }
  var stream = vec2<u32>(params.streamLow, params.streamHigh);
  if (STEPPED) { stream = streamOfStep(stream, steps[params.stepOffset]); }
  let u = drawBlock(block, vec2<u32>(params.seedLow, params.seedHigh), stream);
  var values = u * params.scale + params.shift;
  if (DISTRIBUTION == 0u) {
    // Where rounding reaches the upper bound the draw goes to the lower one, which rounding leaves with half its share.
    values = select(values, vec4<f32>(params.shift), values >= vec4<f32>(params.high));
  }
  if (DISTRIBUTION == 1u) {
    // Box and Muller; 1 - u lies in (0, 1].
    let radius = sqrt(-2.0 * log(1.0 - u.xz));
    let angle = 6.283185307179586 * u.yw;
    values = vec4<f32>(radius.x * cos(angle.x), radius.x * sin(angle.x), radius.y * cos(angle.y), radius.y * sin(angle.y))
      * params.scale + params.shift;
  }
  for (var j = 0u; j < min(4u, params.size - block * 4u); j++) {
    let i = block * 4u + j;
    if (DISTRIBUTION == 2u) {
      out[i] = Element(select(0.0, f32(x[params.xOffset + i]) * params.scale, u[j] >= params.shift));
    } else {
      out[i] = Element(values[j]);
    }
  }
}
