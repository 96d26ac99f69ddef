// Gradient of softmax (dx = y (dy - sum(dy y))) or of its logarithm (dx = dy - exp(y) sum(dy)) from the output y.
// In front: LANES, LOGARITHM.
struct Params {
  rows: u32,
  length: u32,
  yOffset: u32,
  gradOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = min(group.x + group.y * groups.x, params.rows - 1u);
  let base = row * params.length;
  var sum = 0.0;
  for (var i = lane; i < params.length; i += LANES) {
    let g = grad[params.gradOffset + base + i];
    if (LOGARITHM) { sum += g; } else { sum += g * y[params.yOffset + base + i]; }
  }
  partial[lane] = sum;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  let total = partial[0];
  for (var i = lane; i < params.length; i += LANES) {
    let g = grad[params.gradOffset + base + i];
    let value = y[params.yOffset + base + i];
    if (LOGARITHM) { out[base + i] = g - exp(value) * total; } else { out[base + i] = value * (g - total); }
  }
}
