// The cross-entropy of rows of logits against one class each, [rows, length] and [rows]:
//   loss = (1 - smoothing) w[t] (logSum - (x[t] - max)) + smoothing / length * sum_c w[c] (logSum - (x[c] - max)),
//   logSum = log sum_c exp(x[c] - max).
// 0 where t is `ignored`, NaN where t is no class. Each logit is fetched once: the sum is kept relative to the largest logit
// so far and scaled when a larger one comes (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018).
// For the gradient: max and logSum, which together keep the digits that their sum would lose.
// In front: LANES and ROWS, the threads that share a row and the rows a workgroup; WEIGHTED and SMOOTHED; InputElement and
// OutElement, the types in memory of the logits and the losses.
struct Params {
  rows: u32,
  length: u32,
  offset: u32,
  targetOffset: u32,
  weightOffset: u32,
  ignored: u32,
  smoothing: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<InputElement>;
@group(0) @binding(2) var<storage, read> classes: array<i32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<OutElement>;
@group(0) @binding(5) var<storage, read_write> statistics: array<vec2<f32>>;

alias Scalar = f32;
// What the thread that met the row's class found there.
var<workgroup> chosen: array<f32, ROWS>;

fn isNotANumber(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn weightOf(label: u32) -> f32 {
  if (WEIGHTED) { return weight[params.weightOffset + label]; }
  return 1.0;
}

@compute @workgroup_size(LANES * ROWS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (group.x + group.y * groups.x) * ROWS + thread / LANES;
  let isRow = row < params.rows;
  let label = select(0, classes[params.targetOffset + min(row, params.rows - 1u)], isRow);
  let start = row * params.length;
  var seen = RowValue();
  seen.x = -3.4028234e38;
  for (var i = thread % LANES; i < select(0u, params.length, isRow); i += LANES) {
    let x = fetch(start + i);
    if (i == u32(label)) { chosen[thread / LANES] = x; }
    let shift = x - seen.x;
    let larger = x > seen.x;
    // Some drivers' exp makes a number of NaN: one in a row has to spoil the whole of it.
    let e = select(exp(-abs(shift)), shift, isNotANumber(shift));
    seen.y = select(seen.y + e, seen.y * e + 1.0, larger);
    if (SMOOTHED) {
      let w = weightOf(i);
      // Against the new maximum: what came before moves by the difference, or this one is less by it.
      let moved = seen.z - select(0.0, seen.w * shift, seen.w > 0.0);
      seen.z = select(seen.z + w * shift, moved, larger);
      seen.w += w;
    }
    seen.x = select(seen.x, x, larger);
  }
  let all = rowReduce(thread, seen);
  if (thread % LANES != 0u || !isRow) { return; }
  // Infinity less infinity is no number, and spoils the row.
  let infinite = bitcast<u32>(all.x) == 0x7f800000u;
  let total = select(all.y, bitcast<f32>(bitcast<u32>(all.x) | 0x00400000u), infinite);
  let logSum = select(log(total), total, isNotANumber(total));
  var loss = 0.0;
  if (label != bitcast<i32>(params.ignored)) {
    if (label < 0 || u32(label) >= params.length) {
      loss = bitcast<f32>(0x7fc00000u | params.rows);
    } else {
      loss = (1.0 - params.smoothing) * weightOf(u32(label)) * (logSum - (chosen[thread / LANES] - all.x));
      if (SMOOTHED) { loss += params.smoothing / f32(params.length) * (all.w * logSum - all.z); }
    }
  }
  emit(row, loss);
  statistics[row] = vec2<f32>(all.x, logSum);
}
