// Stores pieces of a dense output: ELEMENTS neighbours, 1 or 4, by emit() or, where nothing is joined to it, at once as what
// memory holds. `count` elements are left, beginning with `at`.
// In front: ELEMENTS; WIDE_OUTPUT, whether OutElement is a vec4, and then storePiece(); emit().
fn emitPiece(at: u32, piece: vec4<f32>, count: u32) {
  if (WIDE_OUTPUT) {
    storePiece(at, piece);
  } else {
    for (var e = 0u; e < ELEMENTS; e++) { // unroll
      if (e < count) { emit(at + e, piece[e]); }
    }
  }
}
