// out[b, o, s, t] = sum over c, j, k of x[b, c, s strideY + j dilationY - paddingY, t strideX + k dilationX - paddingX]
// weight[o, c, j, k], in groups: conv1d.wgsl with rows. A thread makes 4 output channels x 8 neighbours of a row.
// In front: PADDED (false when no tap can fall left or right of the input); XElement, WeightElement and OutElement, the types in
// memory, and lib/register_sums.wgsl. Sums are in f32.
struct Params {
  inChannels: u32,
  inHeight: u32,
  inWidth: u32,
  outChannels: u32,
  outHeight: u32,
  outWidth: u32,
  kernelHeight: u32,
  kernelWidth: u32,
  strideY: u32,
  strideX: u32,
  paddingY: u32,
  paddingX: u32,
  dilationY: u32,
  dilationX: u32,
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
  if (PADDED) { return select(0.0, f32(x[base + min(position, params.inWidth - 1u)]), position < params.inWidth); }
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
  let tilesX = (params.outWidth + 7u) / 8u;
  let s = id.x / tilesX;
  let t = (id.x % tilesX) * 8u;
  if (group >= params.groups || s >= params.outHeight) { return; }
  let batch = id.z;
  let last = params.outWidth - 1u;
  // Steps and channels past the edge repeat the last one and are not stored. Positions before the start wrap around
  // to huge numbers, which the bounds test of load() refuses.
  let early = min(vec4<u32>(t) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last)) * params.strideX - params.paddingX;
  let late = min(vec4<u32>(t) + vec4<u32>(4u, 5u, 6u, 7u), vec4<u32>(last)) * params.strideX - params.paddingX;
  let channels = group * perGroup + min(vec4<u32>(o) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(perGroup - 1u));
  let taps = params.kernelHeight * params.kernelWidth;
  let rows = params.weightOffset + channels * inPerGroup * taps;
  var sums = Sums();
  for (var c = 0u; c < inPerGroup; c++) {
    let plane = params.xOffset + (batch * params.inChannels + group * inPerGroup + c) * params.inHeight * params.inWidth;
    for (var j = 0u; j < params.kernelHeight; j++) {
      let row = s * params.strideY + j * params.dilationY - params.paddingY;
      if (row >= params.inHeight) { continue; }
      let base = plane + row * params.inWidth;
      for (var k = 0u; k < params.kernelWidth; k++) {
        let shift = k * params.dilationX;
        let p = early + shift;
        let q = late + shift;
        let xe = vec4<f32>(load(base, p.x), load(base, p.y), load(base, p.z), load(base, p.w));
        let xl = vec4<f32>(load(base, q.x), load(base, q.y), load(base, q.z), load(base, q.w));
        let w = rows + c * taps + j * params.kernelWidth + k;
        let taken = vec4<f32>(f32(weight[w.x]), f32(weight[w.y]), f32(weight[w.z]), f32(weight[w.w]));
        for (var r = 0u; r < 4u; r++) { // unroll
          sums[2u * r] += taken[r] * xe;
          sums[2u * r + 1u] += taken[r] * xl;
        }
      }
    }
  }
  let channelSize = params.outHeight * params.outWidth;
  let base = (batch * params.outChannels + group * perGroup + o) * channelSize + s * params.outWidth + t;
  for (var i = 0u; i < 8u; i++) {
    let step = 4u * (i % 2u);
    if (o + i / 2u >= perGroup || t + step >= params.outWidth) { continue; }
    let fours = foursAt(&sums, i);
    let at = base + i / 2u * channelSize + step;
    prepare(at);
    for (var j = 0u; j < min(4u, params.outWidth - t - step); j++) { emit(at + j, fours[j]); }
  }
}
