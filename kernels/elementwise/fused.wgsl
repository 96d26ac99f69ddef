// Elementwise operations that a graph compiler joined: calls body(i) for every i below size. The compiler writes the
// function, which reads its inputs through strides and stores its outputs, and appends their bindings.
// In front: ELEMENTS, those of a thread: 1, or 4 where prepare(i) draws random numbers for four of them.
struct Params {
  size: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let first = (id.x + id.y * groups.x * 64u) * ELEMENTS;
  if (first >= params.size) { return; }
  prepare(first);
  if (ELEMENTS == 1u) {
    body(first);
  } else {
    for (var j = 0u; j < min(ELEMENTS, params.size - first); j++) { body(first + j); }
  }
}
