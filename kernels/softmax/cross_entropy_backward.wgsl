// Gradient of cross_entropy.wgsl with respect to the logits, from those of the losses, g [rows], one thread an element:
//   g ((1 - s) w[t] + s / length * sum(w)) p[c] - (1 - s) w[t] [c = t] - s / length * w[c]),  p[c] = exp(x[c] - max - logSum)
// No probability is stored. 0 where t is `ignored`, NaN where t is no class.
// In front: WEIGHTED and SMOOTHED; Element, the type in memory of the logits; OutElement, that of the output.
struct Params {
  rows: u32,
  length: u32,
  xOffset: u32,
  targetOffset: u32,
  statisticsOffset: u32,
  gradOffset: u32,
  weightOffset: u32,
  ignored: u32,
  smoothing: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> classes: array<i32>;
@group(0) @binding(3) var<storage, read> statistics: array<f32>;
@group(0) @binding(4) var<storage, read> grad: array<f32>;
@group(0) @binding(5) var<storage, read> weight: array<f32>;
// The sum of the weights.
@group(0) @binding(6) var<storage, read> weightSum: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<OutElement>;

fn weightOf(label: u32) -> f32 {
  if (WEIGHTED) { return weight[params.weightOffset + label]; }
  return 1.0;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.rows * params.length) { return; }
  let row = i / params.length;
  let column = i - row * params.length;
  let label = classes[params.targetOffset + row];
  if (label == bitcast<i32>(params.ignored)) {
    emit(i, 0.0);
    return;
  }
  if (label < 0 || u32(label) >= params.length) {
    emit(i, bitcast<f32>(0x7fc00000u | params.rows));
    return;
  }
  let largest = statistics[params.statisticsOffset + 2u * row];
  let logSum = statistics[params.statisticsOffset + 2u * row + 1u];
  let exponent = f32(x[params.xOffset + i]) - largest - logSum;
  // Some drivers' exp makes a number of NaN.
  let isNotANumber = (bitcast<u32>(exponent) & 0x7fffffffu) > 0x7f800000u;
  let p = select(exp(exponent), exponent, isNotANumber);
  let own = (1.0 - params.smoothing) * weightOf(u32(label));
  var slope = own * p - select(0.0, own, column == u32(label));
  if (SMOOTHED) {
    var total = f32(params.length);
    if (WEIGHTED) { total = weightSum[0]; }
    slope += params.smoothing / f32(params.length) * (total * p - weightOf(column));
  }
  emit(i, grad[params.gradOffset + row] * slope);
}
