// out[b, o, t] = sum over c, k of x[b, c, t stride + k dilation - padding] weight[o, c, k], in groups.
// A thread makes 4 output channels x 8 time steps in registers: 12 loads for 32 multiply-adds.
// In front: PADDED (false when no tap can fall outside the input); XElement, WeightElement and OutElement, the types in
// memory, and lib/register_sums.wgsl. Sums are in f32.
struct Params {
  inChannels: u32,
  inLength: u32,
  outChannels: u32,
  outLength: u32,
  kernel: u32,
  stride: u32,
  padding: u32,
  dilation: u32,
  groups: u32,
  xOffset: u32,
  weightOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XElement>;
@group(0) @binding(2) var<storage, read> weight: array<WeightElement>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

fn load(base: u32, position: u32) -> f32 {
  if (PADDED) { return select(0.0, f32(x[base + min(position, params.inLength - 1u)]), position < params.inLength); }
  return f32(x[base + position]);
}

// Steps 0 to 3 of channel r are vector 2 r, steps 4 to 7 the one behind.
const FOURS = 8u;

@compute @workgroup_size(16, 4)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(16u, 4u, 1u);
  let perGroup = params.outChannels / params.groups;
  let inPerGroup = params.inChannels / params.groups;
  let tiles = (perGroup + 3u) / 4u;
  let group = id.y / tiles;
  let o = (id.y % tiles) * 4u;
  let t = id.x * 8u;
  if (group >= params.groups || t >= params.outLength) { return; }
  let batch = id.z;
  let last = params.outLength - 1u;
  // Steps and channels past the edge repeat the last one and are not stored. Positions before the start wrap around
  // to huge numbers, which the bounds test of load() refuses.
  let early = min(vec4<u32>(t) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last)) * params.stride - params.padding;
  let late = min(vec4<u32>(t) + vec4<u32>(4u, 5u, 6u, 7u), vec4<u32>(last)) * params.stride - params.padding;
  let channels = group * perGroup + min(vec4<u32>(o) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(perGroup - 1u));
  let rows = params.weightOffset + channels * inPerGroup * params.kernel;
  var sums = Sums();
  for (var c = 0u; c < inPerGroup; c++) {
    let base = params.xOffset + (batch * params.inChannels + group * inPerGroup + c) * params.inLength;
    for (var k = 0u; k < params.kernel; k++) {
      let shift = k * params.dilation;
      let p = early + shift;
      let q = late + shift;
      let xe = vec4<f32>(load(base, p.x), load(base, p.y), load(base, p.z), load(base, p.w));
      let xl = vec4<f32>(load(base, q.x), load(base, q.y), load(base, q.z), load(base, q.w));
      let w = rows + c * params.kernel + k;
      let taken = vec4<f32>(f32(weight[w.x]), f32(weight[w.y]), f32(weight[w.z]), f32(weight[w.w]));
      for (var r = 0u; r < 4u; r++) { // unroll
        sums[2u * r] += taken[r] * xe;
        sums[2u * r + 1u] += taken[r] * xl;
      }
    }
  }
  let base = (batch * params.outChannels + group * perGroup + o) * params.outLength + t;
  for (var i = 0u; i < 8u; i++) {
    let step = 4u * (i % 2u);
    if (o + i / 2u >= perGroup || t + step >= params.outLength) { continue; }
    let fours = foursAt(&sums, i);
    let at = base + i / 2u * params.outLength + step;
    prepare(at);
    for (var j = 0u; j < min(4u, params.outLength - t - step); j++) { emit(at + j, fours[j]); }
  }
}
