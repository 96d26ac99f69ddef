// out[split, o, c, j, k] = sum over the split's share of (b, s, t) of grad[b, o, s, t]
// x[b, c, s strideY + j dilationY - paddingY, t strideX + k dilationX - paddingX]: conv1d_weight_gradient.wgsl with rows.
// A thread makes 8 output channels x 4 neighbours in the flattened (c, j, k); the sum over splits is a second pass, so
// that small weights still fill the machine and the order of the sum never changes.
// In front: XElement, GradElement and OutElement, the types in memory, and lib/register_sums.wgsl. Sums are in f32.
struct Params {
  batch: u32,
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
  chunk: u32,
  xOffset: u32,
  gradOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XElement>;
@group(0) @binding(2) var<storage, read> grad: array<GradElement>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

fn load(plane: u32, row: u32, position: u32) -> f32 {
  let inside = row < params.inHeight && position < params.inWidth;
  return select(0.0, f32(x[plane + select(0u, row * params.inWidth + position, inside)]), inside);
}

// Four neighbours of output channel r are vector r.
const FOURS = 8u;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(8u, 8u, 1u);
  let perGroup = params.outChannels / params.groups;
  let inPerGroup = params.inChannels / params.groups;
  let taps = params.kernelHeight * params.kernelWidth;
  let columns = inPerGroup * taps;
  let tiles = (perGroup + 7u) / 8u;
  let group = id.y / tiles;
  let o = (id.y % tiles) * 8u;
  let column = id.x * 4u;
  if (group >= params.groups || column >= columns) { return; }
  let flat = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(columns - 1u));
  let inSize = params.inHeight * params.inWidth;
  let outSize = params.outHeight * params.outWidth;
  let channel = (group * inPerGroup + flat / taps) * inSize + params.xOffset;
  let shiftY = (flat % taps / params.kernelWidth) * params.dilationY - params.paddingY;
  let shiftX = (flat % params.kernelWidth) * params.dilationX - params.paddingX;
  let four = vec4<u32>(0u, 1u, 2u, 3u);
  let last = vec4<u32>(perGroup - 1u);
  let upper = (group * perGroup + min(o + four, last)) * outSize + params.gradOffset;
  let lower = (group * perGroup + min(o + 4u + four, last)) * outSize + params.gradOffset;
  var sums = Sums();
  let start = id.z * params.chunk;
  let end = min(params.batch * outSize, start + params.chunk);
  var b = start / outSize;
  var s = start % outSize / params.outWidth;
  var t = start % params.outWidth;
  for (var i = start; i < end; i++) {
    let at = channel + b * params.inChannels * inSize;
    let q = s * params.strideY + shiftY;
    let p = t * params.strideX + shiftX;
    let xs = vec4<f32>(load(at.x, q.x, p.x), load(at.y, q.y, p.y), load(at.z, q.z, p.z), load(at.w, q.w, p.w));
    let step = b * params.outChannels * outSize + s * params.outWidth + t;
    let u = upper + step;
    let l = lower + step;
    let upperGrad = vec4<f32>(f32(grad[u.x]), f32(grad[u.y]), f32(grad[u.z]), f32(grad[u.w]));
    let lowerGrad = vec4<f32>(f32(grad[l.x]), f32(grad[l.y]), f32(grad[l.z]), f32(grad[l.w]));
    for (var r = 0u; r < 4u; r++) { // unroll
      sums[r] += upperGrad[r] * xs;
      sums[4u + r] += lowerGrad[r] * xs;
    }
    t++;
    if (t == params.outWidth) {
      t = 0u;
      s++;
      if (s == params.outHeight) {
        s = 0u;
        b++;
      }
    }
  }
  let base = (id.z * params.outChannels + group * perGroup + o) * columns + column;
  for (var r = 0u; r < min(8u, perGroup - o); r++) {
    let fours = foursAt(&sums, r);
    for (var j = 0u; j < min(4u, columns - column); j++) { out[base + r * columns + j] = OutElement(fours[j]); }
  }
}
