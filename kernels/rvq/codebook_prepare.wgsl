// Lays up to four codebooks [codes, dimension] out for the search: entries [stage, dimension, padded], so that neighbouring
// threads read neighbouring codes, and half the squared length of each code, halves [stage, padded]. Codes past the last are
// zeros with the largest number for a length, which nothing is near to. A thread does one code.
struct Params {
  codes: u32,
  dimension: u32,
  padded: u32,
  firstStage: u32,
  offset0: u32,
  offset1: u32,
  offset2: u32,
  offset3: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> book0: array<f32>;
@group(0) @binding(2) var<storage, read> book1: array<f32>;
@group(0) @binding(3) var<storage, read> book2: array<f32>;
@group(0) @binding(4) var<storage, read> book3: array<f32>;
@group(0) @binding(5) var<storage, read_write> entries: array<f32>;
@group(0) @binding(6) var<storage, read_write> halves: array<f32>;

fn load(book: u32, at: u32) -> f32 {
  if (book == 0u) { return book0[params.offset0 + at]; }
  if (book == 1u) { return book1[params.offset1 + at]; }
  if (book == 2u) { return book2[params.offset2 + at]; }
  return book3[params.offset3 + at];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let code = id.x;
  if (code >= params.padded) { return; }
  let stage = params.firstStage + id.y;
  let isCode = code < params.codes;
  var sum = 0.0;
  for (var d = 0u; d < params.dimension; d++) {
    var value = 0.0;
    if (isCode) { value = load(id.y, code * params.dimension + d); }
    entries[(stage * params.dimension + d) * params.padded + code] = value;
    sum += value * value;
  }
  halves[stage * params.padded + code] = select(3.4028234e38, 0.5 * sum, isCode);
}
