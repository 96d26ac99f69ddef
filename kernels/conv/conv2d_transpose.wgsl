// out[b, c, h, i] = sum over o, j, k, s, t with s strideY + j dilationY - paddingY = h and t strideX + k dilationX -
// paddingX = i of y[b, o, s, t] weight[o, c, j, k], in groups: the transposed convolution, which is also conv2d's gradient
// with respect to its input; conv1d_transpose.wgsl with rows. A thread makes 4 channels x 8 positions of a row that lie
// `strideX` apart, so that all of them meet the same taps.
// In front: YElement, WeightElement and OutElement, the types in memory, and lib/register_sums.wgsl. Sums are in f32.
struct Params {
  channels: u32,
  height: u32,
  width: u32,
  yChannels: u32,
  yHeight: u32,
  yWidth: u32,
  kernelHeight: u32,
  kernelWidth: u32,
  strideY: u32,
  strideX: u32,
  paddingY: u32,
  paddingX: u32,
  dilationY: u32,
  dilationX: u32,
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
  return select(0.0, f32(y[base + min(t, params.yWidth - 1u)]), t < params.yWidth);
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
  let perRow = params.strideX * (((params.width + params.strideX - 1u) / params.strideX + 7u) / 8u);
  let h = id.x / perRow;
  let place = id.x % perRow;
  let first = (place / params.strideX) * 8u * params.strideX + place % params.strideX;
  if (group >= params.groups || h >= params.height || first >= params.width) { return; }
  let batch = id.z;
  let taps = params.kernelHeight * params.kernelWidth;
  let within = min(vec4<u32>(c) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(perGroup - 1u)) * taps;
  var sums = Sums();
  for (var j = 0u; j < params.kernelHeight; j++) {
    // A multiple of the stride added before the subtraction keeps it above zero without changing its remainder.
    let liftY = (j * params.dilationY) / params.strideY + 1u;
    let reachY = h + params.paddingY + liftY * params.strideY - j * params.dilationY;
    if (reachY % params.strideY != 0u) { continue; }
    // Rows before the start wrap around and fail the test.
    let s = reachY / params.strideY - liftY;
    if (s >= params.yHeight) { continue; }
    for (var k = 0u; k < params.kernelWidth; k++) {
      let lift = (k * params.dilationX) / params.strideX + 1u;
      let reach = first + params.paddingX + lift * params.strideX - k * params.dilationX;
      if (reach % params.strideX != 0u) { continue; }
      let t = reach / params.strideX - lift;
      for (var o = 0u; o < yPerGroup; o++) {
        let channel = group * yPerGroup + o;
        let base = params.yOffset + ((batch * params.yChannels + channel) * params.yHeight + s) * params.yWidth;
        let early = vec4<f32>(load(base, t), load(base, t + 1u), load(base, t + 2u), load(base, t + 3u));
        let late = vec4<f32>(load(base, t + 4u), load(base, t + 5u), load(base, t + 6u), load(base, t + 7u));
        let w = params.weightOffset + channel * perGroup * taps + within + j * params.kernelWidth + k;
        let taken = vec4<f32>(f32(weight[w.x]), f32(weight[w.y]), f32(weight[w.z]), f32(weight[w.w]));
        for (var r = 0u; r < 4u; r++) { // unroll
          sums[2u * r] += taken[r] * early;
          sums[2u * r + 1u] += taken[r] * late;
        }
      }
    }
  }
  let channelSize = params.height * params.width;
  let base = (batch * params.channels + group * perGroup + c) * channelSize + h * params.width;
  for (var i = 0u; i < 8u; i++) {
    if (c + i / 2u >= perGroup) { break; }
    let fours = foursAt(&sums, i);
    for (var j = 0u; j < 4u; j++) {
      let place = first + (4u * (i % 2u) + j) * params.strideX;
      if (place < params.width) { emit(base + i / 2u * channelSize + place, fours[j]); }
    }
  }
}
