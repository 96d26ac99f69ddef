// out[i] = start + i * step. Floats count from the nearer end, so that both ends are exact.
// In front: Element, and FLOAT, where the parameters are the bits of f32; else they are whole numbers that wrap.
struct Params {
  size: u32,
  start: u32,
  step: u32,
  last: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.size) { return; }
  if (FLOAT) {
    let left = params.size - 1u - i;
    let step = bitcast<f32>(params.step);
    let up = bitcast<f32>(params.start) + f32(i) * step;
    let down = bitcast<f32>(params.last) - f32(left) * step;
    out[i] = Element(select(down, up, i <= left));
  } else {
    out[i] = Element(params.start + i * params.step);
  }
}
