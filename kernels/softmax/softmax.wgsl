// Softmax (or its logarithm) over the last axis of [rows, length]. The largest element is subtracted first, sums are in f32;
// both come from one pass, in which the sum is scaled when a larger element comes (see cross_entropy.wgsl).
// In front: LANES and ROWS, the threads that share a row and the rows a workgroup; KEPT, the elements of a row that a thread
// keeps in registers, 0 to read them again; LOGARITHM; ELEMENTS, WIDE_INPUT and WIDE_OUTPUT, see fetch_pieces.wgsl and
// emit_pieces.wgsl; InputElement and OutElement, the types in memory.
struct Params {
  rows: u32,
  length: u32,
  offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<InputElement>;
@group(0) @binding(2) var<storage, read_write> out: array<OutElement>;

alias Scalar = f32;

// Some drivers' exp and log make numbers of NaN: one in a row has to spoil the whole of it.
fn isNotANumber(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
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
  let start = row * params.length;
  let stride = ELEMENTS * LANES;
  // A row that is kept is one turn; an index that is a constant keeps it in registers.
  let turns = select((length + stride - 1u) / stride, 1u, KEPT > 0u);
  var kept: array<f32, max(KEPT, ELEMENTS)>;
  var seen = vec2<f32>(-3.4028234e38, 0.0);
  for (var turn = 0u; turn < turns; turn++) {
    for (var block = 0u; block < BLOCKS; block++) { // unroll
      let first = ELEMENTS * (thread % LANES) + (turn * BLOCKS + block) * stride;
      if (first < length) {
        prepareFetch(start + first);
        let piece = fetchPiece(start + first, length - first);
        for (var e = 0u; e < ELEMENTS; e++) { // unroll
          if (WIDE_INPUT || first + e < length) {
            let x = piece[e];
            if (KEPT > 0u) { kept[block * ELEMENTS + e] = x; }
            let shift = x - seen.x;
            let larger = x > seen.x;
            let power = select(exp(-abs(shift)), shift, isNotANumber(shift));
            seen = select(vec2<f32>(seen.x, seen.y + power), vec2<f32>(x, seen.y * power + 1.0), larger);
          }
        }
      }
    }
  }
  let all = rowReduce(thread, seen);
  // Infinity less infinity is no number, and spoils the row.
  let infinite = bitcast<u32>(all.x) == 0x7f800000u;
  let total = select(all.y, bitcast<f32>(bitcast<u32>(all.x) | 0x00400000u), infinite);
  let logSum = select(log(total), total, isNotANumber(total));
  for (var turn = 0u; turn < turns; turn++) {
    for (var block = 0u; block < BLOCKS; block++) { // unroll
      let first = ELEMENTS * (thread % LANES) + (turn * BLOCKS + block) * stride;
      if (first < length) {
        prepare(start + first);
        var piece: vec4<f32>;
        if (KEPT == 0u) { piece = fetchPieceAgain(start + first, length - first); }
        for (var e = 0u; e < ELEMENTS; e++) { // unroll
          if (KEPT > 0u) { piece[e] = kept[block * ELEMENTS + e]; }
          let shift = piece[e] - all.x;
          let power = select(exp(shift), shift, isNotANumber(shift));
          if (LOGARITHM) { piece[e] = shift - logSum; } else { piece[e] = power / total; }
        }
        emitPiece(start + first, piece, length - first);
      }
    }
  }
}
