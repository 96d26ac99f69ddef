// out[offset + i through outStrides] = in[offset + i through inStrides]: writes one tensor into a part of another
// (concatenation, gathering gradients into an arena, the gradient of a slice).
// In front: Element.
struct Params {
  size: u32,
  rank: u32,
  inOffset: u32,
  outOffset: u32,
  shape: array<vec4<u32>, 2>,
  inStrides: array<vec4<u32>, 2>,
  outStrides: array<vec4<u32>, 2>,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Element>;
@group(0) @binding(2) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.size) { return; }
  var start = params.inOffset;
  var to = params.outOffset;
  var rest = i;
  for (var d = params.rank; d > 0u; d--) {
    let at = d - 1u;
    let extent = params.shape[at / 4u][at % 4u];
    let coordinate = rest % extent;
    rest /= extent;
    start += coordinate * params.inStrides[at / 4u][at % 4u];
    to += coordinate * params.outStrides[at / 4u][at % 4u];
  }
  out[to] = input[start];
}
