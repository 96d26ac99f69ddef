// Softmax (or its logarithm) over the last axis of [rows, length]; one workgroup a row. The largest element is
// subtracted first, sums are in f32.
// In front: LOGARITHM; LANES, the threads that share a row; ELEMENTS, neighbours that a thread stores together: 1, or 4 where
// prepare() draws for them; InputElement and OutElement, the types in memory.
struct Params {
  rows: u32,
  length: u32,
  offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<InputElement>;
@group(0) @binding(2) var<storage, read_write> out: array<OutElement>;

alias Scalar = f32;
var<workgroup> partial: array<f32, LANES>;

// Some drivers' exp and log make numbers of NaN: one in a row has to spoil the whole of it.
fn isNotANumber(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let ownRow = group.x + group.y * groups.x;
  let row = min(ownRow, params.rows - 1u);
  let start = row * params.length;
  var best = -3.4028234e38;
  for (var i = lane; i < params.length; i += LANES) { best = max(best, fetch(start + i)); }
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
    let shifted = fetch(start + i) - largest;
    sum += select(exp(shifted), shifted, isNotANumber(shifted));
  }
  partial[lane] = sum;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  let total = partial[0];
  let logTotal = select(log(total), total, isNotANumber(total));
  // Groups past the end joined in the barriers alone: what is stored may lie over what is read.
  if (ownRow >= params.rows) { return; }
  for (var first = ELEMENTS * lane; first < params.length; first += ELEMENTS * LANES) {
    prepare(start + first);
    for (var i = first; i < min(first + ELEMENTS, params.length); i++) {
      let shifted = fetch(start + i) - largest;
      if (LOGARITHM) { emit(start + i, shifted - logTotal); } else { emit(start + i, exp(shifted) / total); }
    }
  }
}
