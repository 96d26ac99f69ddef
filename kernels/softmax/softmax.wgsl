// Softmax (or its logarithm) over the last axis of [rows, length]; one workgroup a row. The largest element is
// subtracted first, sums are in f32.
// In front: LANES, LOGARITHM, Element, the type in memory.
struct Params {
  rows: u32,
  length: u32,
  offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Element>;
@group(0) @binding(2) var<storage, read_write> out: array<Element>;

var<workgroup> partial: array<f32, LANES>;

// Some drivers' exp and log make numbers of NaN: one in a row has to spoil the whole of it.
fn isNan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = min(group.x + group.y * groups.x, params.rows - 1u);
  let start = params.offset + row * params.length;
  let to = row * params.length;
  var best = -3.4028234e38;
  for (var i = lane; i < params.length; i += LANES) { best = max(best, f32(input[start + i])); }
  partial[lane] = best;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] = max(partial[lane], partial[lane + step]); }
    workgroupBarrier();
  }
  let largest = partial[0];
  workgroupBarrier();
  var sum = 0.0;
  for (var i = lane; i < params.length; i += LANES) {
    let shifted = f32(input[start + i]) - largest;
    sum += select(exp(shifted), shifted, isNan(shifted));
  }
  partial[lane] = sum;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  let total = partial[0];
  let logTotal = select(log(total), total, isNan(total));
  for (var i = lane; i < params.length; i += LANES) {
    let shifted = f32(input[start + i]) - largest;
    if (LOGARITHM) { out[to + i] = Element(shifted - logTotal); } else { out[to + i] = Element(exp(shifted) / total); }
  }
}
