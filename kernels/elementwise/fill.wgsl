// out[i] = value, for every i below size. The value comes as bits, so that infinities and NaN pass unchanged.
// In front: Element, fn fromBits(bits: u32) -> Element.
struct Params {
  size: u32,
  bits: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i < params.size) { out[i] = fromBits(params.bits); }
}
