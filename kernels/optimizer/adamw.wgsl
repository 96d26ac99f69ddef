// One AdamW step (Loshchilov and Hutter, 2019) over a whole arena of parameters, with clipping by the global norm:
// gradients are scaled by min(1, clipNorm / norm), where norm = sqrt(squaredNorm[0]). If the norm is not finite the
// step is skipped: nothing is written, and the moments stay as they were.
struct Params {
  size: u32,
  learningRate: f32,
  beta1: f32,
  beta2: f32,
  eps: f32,
  weightDecay: f32,
  // 1 - beta^step of both moments.
  correction1: f32,
  correction2: f32,
  // 0 for no clipping.
  clipNorm: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradients: array<f32>;
@group(0) @binding(2) var<storage, read> squaredNorm: array<f32>;
@group(0) @binding(3) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> firstMoment: array<f32>;
@group(0) @binding(5) var<storage, read_write> secondMoment: array<f32>;

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
  let decayed = parameters[i] * (1.0 - params.learningRate * params.weightDecay);
  let denominator = sqrt(v / params.correction2) + params.eps;
  parameters[i] = decayed - params.learningRate * (m / params.correction1) / denominator;
}
