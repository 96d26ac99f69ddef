// What map.wgsl and map_fours.wgsl have in common: parameters, and where inputs lie.
// In front: RANK, of the shape; READ_A, READ_B and READ_C, one of the three below.
// By the input's strides, through the output's coordinates.
const STRIDED = 0u;
// Where the output is written: no index arithmetic.
const FLAT = 1u;
// One element for all.
const SINGLE = 2u;

struct Params {
  size: u32,
  aOffset: u32,
  bOffset: u32,
  cOffset: u32,
  shape: array<vec4<u32>, 2>,
  aStrides: array<vec4<u32>, 2>,
  bStrides: array<vec4<u32>, 2>,
  cStrides: array<vec4<u32>, 2>,
}
@group(0) @binding(0) var<uniform> params: Params;

// Where the inputs that are STRIDED lie for output i, and where the others begin.
fn placesOf(i: u32) -> vec3<u32> {
  var places = vec3<u32>(params.aOffset, params.bOffset, params.cOffset);
  if (READ_A == STRIDED || READ_B == STRIDED || READ_C == STRIDED) {
    var rest = i;
    for (var k = 1u; k < RANK; k++) { // unroll
      const d = RANK - k;
      let extent = params.shape[d / 4u][d % 4u];
      let coordinate = rest % extent;
      rest /= extent;
      if (READ_A == STRIDED) { places.x += coordinate * params.aStrides[d / 4u][d % 4u]; }
      if (READ_B == STRIDED) { places.y += coordinate * params.bStrides[d / 4u][d % 4u]; }
      if (READ_C == STRIDED) { places.z += coordinate * params.cStrides[d / 4u][d % 4u]; }
    }
    // Along the first axis the rest is the coordinate.
    if (READ_A == STRIDED) { places.x += rest * params.aStrides[0].x; }
    if (READ_B == STRIDED) { places.y += rest * params.bStrides[0].x; }
    if (READ_C == STRIDED) { places.z += rest * params.cStrides[0].x; }
  }
  return places;
}
