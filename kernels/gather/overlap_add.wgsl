// out[outer, i, inner] = the sum of x[outer, frame, inner, i - frame step] over the frames that reach place i: frames of
// `size` places that start `step` apart, laid over each other along an axis. A thread makes one output of `count` and adds
// in the order of the frames.
// In front: Element, the type of x and out in memory.
struct Params {
  length: u32,
  inner: u32,
  frames: u32,
  size: u32,
  step: u32,
  count: u32,
  offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let at = id.x + id.y * groups.x * 64u;
  if (at >= params.count) { return; }
  let inner = at % params.inner;
  let i = at / params.inner % params.length;
  let outer = at / (params.inner * params.length);
  var frame = 0u;
  if (i >= params.size) { frame = (i - params.size) / params.step + 1u; }
  var sum = 0.0;
  for (; frame < params.frames && frame * params.step <= i; frame++) {
    let row = (outer * params.frames + frame) * params.inner + inner;
    sum += f32(x[params.offset + row * params.size + i - frame * params.step]);
  }
  out[at] = Element(sum);
}
