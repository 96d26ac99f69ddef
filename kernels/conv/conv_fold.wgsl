// out[b, c, i] = sum over the taps j with i + padding = stride t + j of columns[b, t, j, c]: what every step of a convolution gives
// back to its window, added up where windows overlap, as the last part of its transpose. Tiles are read along c and
// stored along i.
// In front: lib/transpose_tile.wgsl; ColumnElement; OutElement and `emit`.
struct Params {
  channels: u32,
  length: u32,
  steps: u32,
  kernel: u32,
  stride: u32,
  padding: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> columns: array<ColumnElement>;
@group(0) @binding(2) var<storage, read_write> out: array<OutElement>;

alias TileElement = f32;

@compute @workgroup_size(SIDE, LINES)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let start = group.x * SIDE;
  let channel = group.y * SIDE;
  for (var line = local.y; line < SIDE; line += LINES) {
    let c = channel + local.x;
    let place = start + line + params.padding;
    var sum = 0.0;
    if (c < params.channels) {
      // From the last step whose window reaches the place back to the first.
      for (var tap = place % params.stride; tap < min(params.kernel, place + 1u); tap += params.stride) {
        let step = (place - tap) / params.stride;
        if (step < params.steps) {
          sum += f32(columns[((group.z * params.steps + step) * params.kernel + tap) * params.channels + c]);
        }
      }
    }
    tile[line * PITCH + local.x] = sum;
  }
  workgroupBarrier();
  for (var line = local.y; line < SIDE; line += LINES) {
    let c = channel + line;
    let i = start + local.x;
    if (c < params.channels && i < params.length) {
      let at = (group.z * params.channels + c) * params.length + i;
      prepare(at / 4u * 4u);
      emit(at, tile[local.x * PITCH + line]);
    }
  }
}
