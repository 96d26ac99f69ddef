// One AdamW step (Loshchilov and Hutter, 2019) over a whole arena of parameters, with clipping by the global norm:
// gradients are scaled by min(1, clipNorm / norm), where norm = sqrt(squaredNorm[0]). If the norm is not finite the
// step is skipped: nothing is written, and the moments stay as they were. The learning rate and the number of the step,
// from 1, come from memory, so that a replayed step sees those of its own.
struct Params {
  size: u32,
  beta1: f32,
  beta2: f32,
  eps: f32,
  weightDecay: f32,
  // Natural logarithms of both betas.
  logBeta1: f32,
  logBeta2: f32,
  // 0 for no clipping.
  clipNorm: f32,
  rateOffset: u32,
  stepsOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradients: array<f32>;
@group(0) @binding(2) var<storage, read> squaredNorm: array<f32>;
@group(0) @binding(3) var<storage, read> rate: array<f32>;
@group(0) @binding(4) var<storage, read> steps: array<f32>;
@group(0) @binding(5) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(6) var<storage, read_write> firstMoment: array<f32>;
@group(0) @binding(7) var<storage, read_write> secondMoment: array<f32>;

// 1 - e^x for x <= 0, without cancellation near zero: 1 - beta^step is small in the first steps.
fn correction(x: f32) -> f32 {
  if (x > -0.25) {
    return -x * (1.0 + x * (0.5 + x * (0.16666666667 + x * (0.041666666667 + x * (0.0083333333333 + x * 0.0013888888889)))));
  }
  return 1.0 - exp(x);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.size) { return; }
  let squared = squaredNorm[0];
  if ((bitcast<u32>(squared) & 0x7f800000u) == 0x7f800000u) { return; }
  var scale = 1.0;
  if (params.clipNorm > 0.0) { scale = min(1.0, params.clipNorm / (sqrt(squared) + 1e-6)); }
  let g = gradients[i] * scale;
  let m = params.beta1 * firstMoment[i] + (1.0 - params.beta1) * g;
  let v = params.beta2 * secondMoment[i] + (1.0 - params.beta2) * g * g;
  firstMoment[i] = m;
  secondMoment[i] = v;
  let learningRate = rate[params.rateOffset];
  let decayed = parameters[i] * (1.0 - learningRate * params.weightDecay);
  let denominator = sqrt(v / correction(steps[params.stepsOffset] * params.logBeta2)) + params.eps;
  let momentum = m / correction(steps[params.stepsOffset] * params.logBeta1);
  parameters[i] = decayed - learningRate * momentum / denominator;
}
