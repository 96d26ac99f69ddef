// out[split, o, c, k] = sum over the split's share of (b, t) of grad[b, o, t] x[b, c, t stride + k dilation - padding].
// A thread makes 8 output channels x 4 neighbours in the flattened (c, k); the sum over splits is a second pass, so
// that small weights still fill the machine and the order of the sum never changes.
// In front: XElement, GradElement and OutElement, the types in memory. Sums are in f32.
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

fn store(at: u32, count: u32, values: vec4<f32>) {
  for (var j = 0u; j < count; j++) { out[at + j] = OutElement(values[j]); }
}

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
  var s0 = vec4<f32>();
  var s1 = vec4<f32>();
  var s2 = vec4<f32>();
  var s3 = vec4<f32>();
  var s4 = vec4<f32>();
  var s5 = vec4<f32>();
  var s6 = vec4<f32>();
  var s7 = vec4<f32>();
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
    s0 += f32(grad[u.x]) * xs;
    s1 += f32(grad[u.y]) * xs;
    s2 += f32(grad[u.z]) * xs;
    s3 += f32(grad[u.w]) * xs;
    s4 += f32(grad[l.x]) * xs;
    s5 += f32(grad[l.y]) * xs;
    s6 += f32(grad[l.z]) * xs;
    s7 += f32(grad[l.w]) * xs;
    t++;
    if (t == params.outLength) {
      t = 0u;
      b++;
    }
  }
  let base = (id.z * params.outChannels + group * perGroup + o) * columns + column;
  let stored = min(4u, columns - column);
  let rows = min(8u, perGroup - o);
  if (rows > 0u) { store(base + 0u * columns, stored, s0); }
  if (rows > 1u) { store(base + 1u * columns, stored, s1); }
  if (rows > 2u) { store(base + 2u * columns, stored, s2); }
  if (rows > 3u) { store(base + 3u * columns, stored, s3); }
  if (rows > 4u) { store(base + 4u * columns, stored, s4); }
  if (rows > 5u) { store(base + 5u * columns, stored, s5); }
  if (rows > 6u) { store(base + 6u * columns, stored, s6); }
  if (rows > 7u) { store(base + 7u * columns, stored, s7); }
}
