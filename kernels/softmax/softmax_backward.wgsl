// Gradient of softmax (dx = y (dy - sum(dy y))) or of its logarithm (dx = dy - exp(y) sum(dy)) from the output y.
// In front: LANES and ROWS, the threads that share a row and the rows a workgroup; KEPT, the elements of a row that a thread
// keeps in registers, 0 to read them again; LOGARITHM; ELEMENTS and WIDE_OUTPUT, see emit_pieces.wgsl; Element, the type in
// memory of y and grad, four of them where WIDE_INPUT; OutElement, that of out.
struct Params {
  rows: u32,
  length: u32,
  yOffset: u32,
  gradOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<Element>;
@group(0) @binding(2) var<storage, read> grad: array<Element>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

// y and dy of ELEMENTS neighbours, of which `count` are left, beginning with `at`.
fn pairsAt(at: u32, count: u32) -> array<vec4<f32>, 2> {
  if (WIDE_INPUT) {
    return array<vec4<f32>, 2>(
      vec4<f32>(vec4(y[(params.yOffset + at) / 4u])),
      vec4<f32>(vec4(grad[(params.gradOffset + at) / 4u])),
    );
  }
  var pairs: array<vec4<f32>, 2>;
  for (var e = 0u; e < ELEMENTS; e++) { // unroll
    if (e < count) {
      pairs[0][e] = vec4<f32>(vec4(y[params.yOffset + at + e])).x;
      pairs[1][e] = vec4<f32>(vec4(grad[params.gradOffset + at + e])).x;
    }
  }
  return pairs;
}

// Blocks a thread keeps, or that it takes a turn.
const BLOCKS = max(KEPT / ELEMENTS, 1u);

@compute @workgroup_size(LANES * ROWS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (group.x + group.y * groups.x) * ROWS + thread / LANES;
  // Rows past the end have no elements: what is stored may lie over what is read.
  let length = select(0u, params.length, row < params.rows);
  let base = row * params.length;
  let stride = ELEMENTS * LANES;
  // A row that is kept is one turn; an index that is a constant keeps it in registers.
  let turns = select((length + stride - 1u) / stride, 1u, KEPT > 0u);
  var kept: array<vec2<f32>, max(KEPT, ELEMENTS)>;
  var sum = 0.0;
  for (var turn = 0u; turn < turns; turn++) {
    for (var block = 0u; block < BLOCKS; block++) { // unroll
      let first = ELEMENTS * (thread % LANES) + (turn * BLOCKS + block) * stride;
      if (first < length) {
        let pairs = pairsAt(base + first, length - first);
        for (var e = 0u; e < ELEMENTS; e++) { // unroll
          let own = vec2<f32>(pairs[0][e], pairs[1][e]);
          if (KEPT > 0u) { kept[block * ELEMENTS + e] = own; }
          // Past the end both are 0.
          if (LOGARITHM) { sum += own.y; } else { sum += own.x * own.y; }
        }
      }
    }
  }
  let total = rowReduce(thread, sum);
  for (var turn = 0u; turn < turns; turn++) {
    for (var block = 0u; block < BLOCKS; block++) { // unroll
      let first = ELEMENTS * (thread % LANES) + (turn * BLOCKS + block) * stride;
      if (first < length) {
        var pairs: array<vec4<f32>, 2>;
        if (KEPT == 0u) { pairs = pairsAt(base + first, length - first); }
        var piece: vec4<f32>;
        for (var e = 0u; e < ELEMENTS; e++) { // unroll
          var own = vec2<f32>(pairs[0][e], pairs[1][e]);
          if (KEPT > 0u) { own = kept[block * ELEMENTS + e]; }
          if (LOGARITHM) { piece[e] = own.y - exp(own.x) * total; } else { piece[e] = own.x * (own.y - total); }
        }
        emitPiece(base + first, piece, length - first);
      }
    }
  }
}
