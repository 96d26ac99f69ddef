// One AdamW step (Loshchilov and Hutter, 2019) over a whole arena of parameters, with clipping by the global norm: gradients
// are divided by the loss scale and scaled by min(1, clipNorm / norm), where norm^2 is the sum of what gradient_norm.wgsl
// left. If the norm or the learning rate is not finite nothing is written, the moments stay as they were and the step is not counted. The
// learning rate, the number of the step (from 1) and the loss scale come from memory, so that a replayed step sees its own.
// The loss scale halves when the norm is not finite and doubles after `interval` good ones (Micikevicius et al., "Mixed precision
// training", 2018), between 2^-24 and 2^24. state: see gradient_norm.wgsl; nobody reads here what one thread changes.
// In front: elementwise/numbers.wgsl; THREADS; Vector, the f32 that a thread takes at once, WIDTH of them; fn inside(i: u32), which elements of vector
// i there are; RATE_IN_MEMORY.
struct Params {
  size: u32,
  // Vectors a workgroup.
  chunk: u32,
  // Partial sums of squares, by fours.
  sums: u32,
  beta1: f32,
  beta2: f32,
  eps: f32,
  weightDecay: f32,
  // Natural logarithms of both betas.
  logBeta1: f32,
  logBeta2: f32,
  // 0 for no clipping.
  clipNorm: f32,
  // 0 where the loss scale stays.
  interval: f32,
  // 1 where the step ends: for the last shard.
  ends: u32,
  rate: f32,
  rateOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradients: array<Vector>;
@group(0) @binding(2) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> rate: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> parameters: array<Vector>;
@group(0) @binding(6) var<storage, read_write> firstMoment: array<Vector>;
@group(0) @binding(7) var<storage, read_write> secondMoment: array<Vector>;
@group(0) @binding(8) var<storage, read_write> squaredNorm: array<f32>;

// 1 - e^x for x <= 0, without cancellation near zero: 1 - beta^step is small in the first steps.
fn correction(x: f32) -> f32 {
  if (x > -0.25) {
    return -x * (1.0 + x * (0.5 + x * (0.16666666667 + x * (0.041666666667 + x * (0.0083333333333 + x * 0.0013888888889)))));
  }
  return 1.0 - exp(x);
}

fn endStep(skipped: bool, overflowed: bool) {
  if (skipped) { state[0] -= 1.0; }
  // A step that was skipped for its rate tells nothing of the scale.
  if (params.interval == 0.0 || (skipped && !overflowed)) { return; }
  let good = select(state[2] + 1.0, 0.0, overflowed);
  if (overflowed) { state[1] = max(0.5 * state[1], 5.9604644775390625e-8); }
  if (good >= params.interval) { state[1] = min(2.0 * state[1], 16777216.0); }
  state[2] = select(good, 0.0, good >= params.interval);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let own = group.x + group.y * groups.x;
  var four = vec4<f32>();
  for (var k = 0u; k < params.sums; k++) { four += sums[k]; }
  let squared = (four.x + four.y) + (four.z + four.w);
  var learningRate = params.rate;
  if (RATE_IN_MEMORY) { learningRate = rate[params.rateOffset]; }
  let overflowed = !isFinite(squared);
  let skipped = overflowed || !isFinite(learningRate);
  if (own == 0u && thread == 0u) {
    squaredNorm[0] = squared;
    if (params.ends == 1u) { endStep(skipped, overflowed); }
  }
  // A skipped step takes its number back, which nobody reads then.
  if (skipped) { return; }
  let number = state[0];
  var scale = state[3];
  if (params.clipNorm > 0.0) { scale *= min(1.0, params.clipNorm / (sqrt(squared) + 1e-6)); }
  let firstCorrection = correction(number * params.logBeta1);
  let secondCorrection = correction(number * params.logBeta2);
  let end = min((own + 1u) * params.chunk, (params.size + WIDTH - 1u) / WIDTH);
  for (var i = own * params.chunk + thread; i < end; i += THREADS) {
    let g = gradients[i] * scale;
    let m = params.beta1 * firstMoment[i] + (1.0 - params.beta1) * g;
    let v = params.beta2 * secondMoment[i] + (1.0 - params.beta2) * g * g;
    let decayed = parameters[i] * (1.0 - learningRate * params.weightDecay);
    let denominator = sqrt(v / secondCorrection) + params.eps;
    let moved = decayed - learningRate * (m / firstCorrection) / denominator;
    // What lies after the end belongs to nobody here, but may to somebody.
    firstMoment[i] = select(firstMoment[i], m, inside(i));
    secondMoment[i] = select(secondMoment[i], v, inside(i));
    parameters[i] = select(parameters[i], moved, inside(i));
  }
}
