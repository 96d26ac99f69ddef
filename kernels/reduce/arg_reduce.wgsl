// Index of the largest (or smallest) element along the middle axis of [outer, length, inner]; the first one on ties.
// A NaN counts as larger than everything, as in NumPy.
// In front: Scalar, InputElement, the type in memory, and fn better(candidate: Scalar, best: Scalar) -> bool (strict).
struct Params {
  outer: u32,
  length: u32,
  inner: u32,
  offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<InputElement>;
@group(0) @binding(2) var<storage, read_write> out: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.outer * params.inner) { return; }
  let base = params.offset + (i / params.inner) * params.length * params.inner + i % params.inner;
  var best = Scalar(input[base]);
  var at = 0u;
  for (var r = 1u; r < params.length; r++) {
    let candidate = Scalar(input[base + r * params.inner]);
    if (better(candidate, best)) {
      best = candidate;
      at = r;
    }
  }
  out[i] = i32(at);
}
