// out[split, o, c, k] = sum over the split's share of (b, t) of grad[b, o, t] x[b, c, t stride + k dilation - padding].
// A thread makes 4 output channels x 4 neighbours in the flattened (c, k); the sum over splits is a second pass, so
// that small weights still fill the machine and the order of the sum never changes.
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
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

fn load(at: u32, position: u32) -> f32 {
  return select(0.0, x[at + min(position, params.inLength - 1u)], position < params.inLength);
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let perGroup = params.outChannels / params.groups;
  let inPerGroup = params.inChannels / params.groups;
  let columns = inPerGroup * params.kernel;
  let tiles = (perGroup + 3u) / 4u;
  let group = id.y / tiles;
  let o = (id.y % tiles) * 4u;
  let column = id.x * 4u;
  if (group >= params.groups || column >= columns) { return; }
  let flat = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(columns - 1u));
  let channel = (group * inPerGroup + flat / params.kernel) * params.inLength + params.xOffset;
  let shift = (flat % params.kernel) * params.dilation - params.padding;
  let rows = (group * perGroup + min(vec4<u32>(o) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(perGroup - 1u))) * params.outLength
    + params.gradOffset;
  var s0 = vec4<f32>();
  var s1 = vec4<f32>();
  var s2 = vec4<f32>();
  var s3 = vec4<f32>();
  let start = id.z * params.chunk;
  let end = min(params.batch * params.outLength, start + params.chunk);
  var b = start / params.outLength;
  var t = start % params.outLength;
  for (var i = start; i < end; i++) {
    let at = channel + b * params.inChannels * params.inLength;
    let p = t * params.stride + shift;
    let xs = vec4<f32>(load(at.x, p.x), load(at.y, p.y), load(at.z, p.z), load(at.w, p.w));
    let g = rows + b * params.outChannels * params.outLength + t;
    s0 += grad[g.x] * xs;
    s1 += grad[g.y] * xs;
    s2 += grad[g.z] * xs;
    s3 += grad[g.w] * xs;
    t++;
    if (t == params.outLength) {
      t = 0u;
      b++;
    }
  }
  let base = (id.z * params.outChannels + group * perGroup + o) * columns + column;
  for (var j = 0u; j < min(4u, columns - column); j++) {
    out[base + j] = s0[j];
    if (o + 1u < perGroup) { out[base + columns + j] = s1[j]; }
    if (o + 2u < perGroup) { out[base + 2u * columns + j] = s2[j]; }
    if (o + 3u < perGroup) { out[base + 3u * columns + j] = s3[j]; }
  }
}
