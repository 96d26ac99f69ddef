// out[b, padding + t, c] = x[b, c, t], zeros before and after: a signal with its channels side by side, so that each window of a
// convolution is one row of neighbours. Tiles are read along t and stored along c.
// In front: lib/transpose_tile.wgsl; Element.
struct Params {
  channels: u32,
  length: u32,
  padding: u32,
  // length + 2 padding
  outLength: u32,
  offset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> out: array<Element>;

alias TileElement = Element;

@compute @workgroup_size(SIDE, LINES)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let time = group.x * SIDE;
  let channel = group.y * SIDE;
  for (var line = local.y; line < SIDE; line += LINES) {
    let c = channel + line;
    // Before the first sample it is a number beyond all lengths.
    let t = time + local.x - params.padding;
    var value = Element();
    if (c < params.channels && t < params.length) {
      value = x[params.offset + (group.z * params.channels + c) * params.length + t];
    }
    tile[line * PITCH + local.x] = value;
  }
  workgroupBarrier();
  for (var line = local.y; line < SIDE; line += LINES) {
    let t = time + line;
    let c = channel + local.x;
    if (t < params.outLength && c < params.channels) {
      out[(group.z * params.outLength + t) * params.channels + c] = tile[local.x * PITCH + line];
    }
  }
}
