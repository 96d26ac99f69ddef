// out[b, c, i] = sum over o, k, t with t stride + k dilation - padding = i of y[b, o, t] weight[o, c, k], in groups:
// the transposed convolution, which is also conv1d's gradient with respect to its input.
// A thread makes 4 channels x 8 positions that lie `stride` apart, so that all of them meet the same taps.
// In front: YElement, WeightElement and OutElement, the types in memory, and lib/register_sums.wgsl. Sums are in f32.
struct Params {
  channels: u32,
  length: u32,
  yChannels: u32,
  yLength: u32,
  kernel: u32,
  stride: u32,
  padding: u32,
  dilation: u32,
  groups: u32,
  yOffset: u32,
  weightOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<YElement>;
@group(0) @binding(2) var<storage, read> weight: array<WeightElement>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

fn load(base: u32, t: u32) -> f32 {
  return select(0.0, f32(y[base + min(t, params.yLength - 1u)]), t < params.yLength);
}

// Positions 0 to 3 of channel r are vector 2 r, positions 4 to 7 the one behind.
const FOURS = 8u;

@compute @workgroup_size(16, 4)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(16u, 4u, 1u);
  let perGroup = params.channels / params.groups;
  let yPerGroup = params.yChannels / params.groups;
  let tiles = (perGroup + 3u) / 4u;
  let group = id.y / tiles;
  let c = (id.y % tiles) * 4u;
  let phase = id.x % params.stride;
  let first = (id.x / params.stride) * 8u * params.stride + phase;
  if (group >= params.groups || first >= params.length) { return; }
  let batch = id.z;
  let within = min(vec4<u32>(c) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(perGroup - 1u)) * params.kernel;
  var sums = Sums();
  for (var k = 0u; k < params.kernel; k++) {
    // A multiple of the stride added before the subtraction keeps it above zero without changing its remainder.
    let lift = (k * params.dilation) / params.stride + 1u;
    let reach = first + params.padding + lift * params.stride - k * params.dilation;
    if (reach % params.stride != 0u) { continue; }
    // Times before the start wrap around and fail load()'s bounds test.
    let t = reach / params.stride - lift;
    for (var o = 0u; o < yPerGroup; o++) {
      let channel = group * yPerGroup + o;
      let base = params.yOffset + (batch * params.yChannels + channel) * params.yLength;
      let early = vec4<f32>(load(base, t), load(base, t + 1u), load(base, t + 2u), load(base, t + 3u));
      let late = vec4<f32>(load(base, t + 4u), load(base, t + 5u), load(base, t + 6u), load(base, t + 7u));
      let w = params.weightOffset + channel * perGroup * params.kernel + within + k;
      let taken = vec4<f32>(f32(weight[w.x]), f32(weight[w.y]), f32(weight[w.z]), f32(weight[w.w]));
      for (var r = 0u; r < 4u; r++) { // unroll
        sums[2u * r] += taken[r] * early;
        sums[2u * r + 1u] += taken[r] * late;
      }
    }
  }
  let base = (batch * params.channels + group * perGroup + c) * params.length;
  for (var i = 0u; i < 8u; i++) {
    if (c + i / 2u >= perGroup) { break; }
    let fours = foursAt(&sums, i);
    for (var j = 0u; j < 4u; j++) {
      let place = first + (4u * (i % 2u) + j) * params.stride;
      if (place < params.length) { emit(base + i / 2u * params.length + place, fours[j]); }
    }
  }
}
