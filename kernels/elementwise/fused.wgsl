// Elementwise operations that a graph compiler joined: makes Made, what is to be stored, of every i below size, and stores it.
// The compiler writes `made`, which reads inputs through strides, and `store`, and appends their bindings.
// In front: ELEMENTS, neighbours of a thread: 1, or 4 where prepare(i) draws random numbers for four of them; TURNS, elements
// a workgroup's width apart of a thread, all of which it reads before it stores one: more of memory is under way at a time.
struct Params {
  size: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.x + group.y * groups.x) * 64u * TURNS * ELEMENTS + lane * ELEMENTS;
  if (first >= params.size) { return; }
  prepare(first);
  if (ELEMENTS == 1u) {
    var all: array<Made, TURNS>;
    for (var turn = 0u; turn < TURNS; turn++) { // unroll
      all[turn] = made(min(first + 64u * turn, params.size - 1u));
    }
    for (var turn = 0u; turn < TURNS; turn++) { // unroll
      if (first + 64u * turn < params.size) { store(first + 64u * turn, all[turn]); }
    }
  } else {
    for (var j = 0u; j < min(ELEMENTS, params.size - first); j++) { store(first + j, made(first + j)); }
  }
}
