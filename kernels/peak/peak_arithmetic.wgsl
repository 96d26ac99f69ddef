// Chains of multiply-adds in registers, 8 independent ones a thread, 8 x 16 multiply-adds an iteration: how fast f32
// arithmetic can be. The result is stored only if it is a number that it never is, so that no compiler drops the work.
struct Params {
  iterations: u32,
  factor: f32,
  addend: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let m = params.factor;
  let c = params.addend;
  var a0 = f32(id.x);
  var a1 = a0 + 1.0;
  var a2 = a0 + 2.0;
  var a3 = a0 + 3.0;
  var a4 = a0 + 4.0;
  var a5 = a0 + 5.0;
  var a6 = a0 + 6.0;
  var a7 = a0 + 7.0;
  for (var i = 0u; i < params.iterations; i++) {
    for (var j = 0u; j < 16u; j++) {
      a0 = a0 * m + c;
      a1 = a1 * m + c;
      a2 = a2 * m + c;
      a3 = a3 * m + c;
      a4 = a4 * m + c;
      a5 = a5 * m + c;
      a6 = a6 * m + c;
      a7 = a7 * m + c;
    }
  }
  let sum = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7;
  if (sum == -12345.0) { out[0] = sum; }
}
