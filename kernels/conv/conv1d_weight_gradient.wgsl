// out[split, o, c, k] = sum over the split's share of (b, t) of grad[b, o, t] x[b, c, t stride + k dilation - padding].
// A thread makes 8 output channels x 4 neighbours in the flattened (c, k); the sum over splits is a second pass, so
// that small weights still fill the machine and the order of the sum never changes.
// In front: XElement, GradElement and OutElement, the types in memory, and lib/register_sums.wgsl. Sums are in f32.
struct Params {
  batch: u32,
  inChannels: u32,
  inLength: u32,
  outChannels: u32,
  outLength: u32,
  kernel: u32,
  stride: u32,
  padding: u32,
  dilation: u32,
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

fn load(at: u32, position: u32) -> f32 {
  return select(0.0, f32(x[at + min(position, params.inLength - 1u)]), position < params.inLength);
}

// Four neighbours of output channel r are vector r.
const FOURS = 8u;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(8u, 8u, 1u);
  let perGroup = params.outChannels / params.groups;
  let inPerGroup = params.inChannels / params.groups;
  let columns = inPerGroup * params.kernel;
  let tiles = (perGroup + 7u) / 8u;
  let group = id.y / tiles;
  let o = (id.y % tiles) * 8u;
  let column = id.x * 4u;
  if (group >= params.groups || column >= columns) { return; }
  let flat = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(columns - 1u));
  let channel = (group * inPerGroup + flat / params.kernel) * params.inLength + params.xOffset;
  let shift = (flat % params.kernel) * params.dilation - params.padding;
  let four = vec4<u32>(0u, 1u, 2u, 3u);
  let last = vec4<u32>(perGroup - 1u);
  let upper = (group * perGroup + min(o + four, last)) * params.outLength + params.gradOffset;
  let lower = (group * perGroup + min(o + 4u + four, last)) * params.outLength + params.gradOffset;
  var sums = Sums();
  let start = id.z * params.chunk;
  let end = min(params.batch * params.outLength, start + params.chunk);
  var b = start / params.outLength;
  var t = start % params.outLength;
  for (var i = start; i < end; i++) {
    let at = channel + b * params.inChannels * params.inLength;
    let p = t * params.stride + shift;
    let xs = vec4<f32>(load(at.x, p.x), load(at.y, p.y), load(at.z, p.z), load(at.w, p.w));
    let step = b * params.outChannels * params.outLength + t;
    let u = upper + step;
    let l = lower + step;
    let upperGrad = vec4<f32>(f32(grad[u.x]), f32(grad[u.y]), f32(grad[u.z]), f32(grad[u.w]));
    let lowerGrad = vec4<f32>(f32(grad[l.x]), f32(grad[l.y]), f32(grad[l.z]), f32(grad[l.w]));
    for (var r = 0u; r < 4u; r++) { // unroll
      sums[r] += upperGrad[r] * xs;
      sums[4u + r] += lowerGrad[r] * xs;
    }
    t++;
    if (t == params.outLength) {
      t = 0u;
      b++;
    }
  }
  let base = (id.z * params.outChannels + group * perGroup + o) * columns + column;
  for (var r = 0u; r < min(8u, perGroup - o); r++) {
    let fours = foursAt(&sums, r);
    for (var j = 0u; j < min(4u, columns - column); j++) { out[base + r * columns + j] = OutElement(fours[j]); }
  }
}
