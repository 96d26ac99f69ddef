// out[offset + i through outStrides] = in[offset + i through inStrides]: writes one tensor into a part of another
// (concatenation, gathering gradients into an arena, the gradient of a slice).
// In front: RANK, of the shape; Element; TURNS, elements a workgroup's width apart of a thread, all of which it reads before it
// stores one.
struct Params {
  size: u32,
  inOffset: u32,
  outOffset: u32,
  shape: array<vec4<u32>, 2>,
  inStrides: array<vec4<u32>, 2>,
  outStrides: array<vec4<u32>, 2>,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Element>;
@group(0) @binding(2) var<storage, read_write> out: array<Element>;

// Where the element lies in input and out.
fn placesOf(i: u32) -> vec2<u32> {
  var places = vec2<u32>(params.inOffset, params.outOffset);
  var rest = i;
  for (var k = 1u; k < RANK; k++) { // unroll
    const d = RANK - k;
    let extent = params.shape[d / 4u][d % 4u];
    let coordinate = rest % extent;
    rest /= extent;
    places += coordinate * vec2<u32>(
      params.inStrides[d / 4u][d % 4u],
      params.outStrides[d / 4u][d % 4u],
    );
  }
  // Along the first axis the rest is the coordinate.
  places += rest * vec2<u32>(params.inStrides[0].x, params.outStrides[0].x);
  return places;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.x + group.y * groups.x) * 64u * TURNS + lane;
  if (first >= params.size) { return; }
  var all: array<Element, TURNS>;
  var to: array<u32, TURNS>;
  for (var turn = 0u; turn < TURNS; turn++) { // unroll
    let places = placesOf(min(first + 64u * turn, params.size - 1u));
    all[turn] = input[places.x];
    to[turn] = places.y;
  }
  for (var turn = 0u; turn < TURNS; turn++) { // unroll
    if (first + 64u * turn < params.size) { out[to[turn]] = all[turn]; }
  }
}
