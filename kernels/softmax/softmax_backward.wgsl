// Gradient of softmax (dx = y (dy - sum(dy y))) or of its logarithm (dx = dy - exp(y) sum(dy)) from the output y.
// In front: LANES, LOGARITHM; Element, the type in memory of y and grad; OutElement, that of the output.
struct Params {
  rows: u32,
  length: u32,
  yOffset: u32,
  gradOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<Element>;
@group(0) @binding(2) var<storage, read> grad: array<Element>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let ownRow = group.x + group.y * groups.x;
  let row = min(ownRow, params.rows - 1u);
  let base = row * params.length;
  var sum = 0.0;
  for (var i = lane; i < params.length; i += LANES) {
    let g = f32(grad[params.gradOffset + base + i]);
    if (LOGARITHM) { sum += g; } else { sum += g * f32(y[params.yOffset + base + i]); }
  }
  partial[lane] = sum;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  let total = partial[0];
  // Groups past the end joined in the barriers alone: what is stored may lie over what is read.
  if (ownRow >= params.rows) { return; }
  for (var i = lane; i < params.length; i += LANES) {
    let g = f32(grad[params.gradOffset + base + i]);
    let value = f32(y[params.yOffset + base + i]);
    if (LOGARITHM) { emit(base + i, g - exp(value) * total); } else { emit(base + i, value * (g - total)); }
  }
}
