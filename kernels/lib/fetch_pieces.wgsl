// Pieces of a dense input: ELEMENTS neighbours, 1 or 4, by fetch() or, where nothing is joined to it, at once as what memory
// holds. `count` elements are left, beginning with `at`.
// In front: ELEMENTS; WIDE_INPUT, whether InputElement is a vec4; fetch(), fetchAgain().
fn fetchPiece(at: u32, count: u32) -> vec4<f32> {
  if (WIDE_INPUT) { return vec4<f32>(vec4(input[(params.offset + at) / 4u])); }
  var piece: vec4<f32>;
  for (var e = 0u; e < ELEMENTS; e++) { // unroll
    if (e < count) { piece[e] = fetch(at + e); }
  }
  return piece;
}

fn fetchPieceAgain(at: u32, count: u32) -> vec4<f32> {
  if (WIDE_INPUT) { return vec4<f32>(vec4(input[(params.offset + at) / 4u])); }
  var piece: vec4<f32>;
  for (var e = 0u; e < ELEMENTS; e++) { // unroll
    if (e < count) { piece[e] = fetchAgain(at + e); }
  }
  return piece;
}
