// Layer norm and group norm: y = (x - mean) / sqrt(variance + eps) * weight[channel] + bias[channel] over each row.
// A row is `length` contiguous elements; element i belongs to channel
//   (row % groups) * channelsPerGroup + i / spatial
// so layer norm is (groups 1, spatial 1) and group norm over [batch, channels, spatial] is itself.
// Two passes, the mean first and then the squares about it: E[x^2] - mean^2 loses everything where the mean is large. The
// second also sums what is left over, which mends the rounding of the mean.
// In front: LANES and ROWS, the threads that share a row and the rows a workgroup; KEPT, the elements of a row that a thread
// keeps in registers, 0 to read them again; ELEMENTS, WIDE_INPUT and WIDE_OUTPUT, see fetch_pieces.wgsl and emit_pieces.wgsl;
// channelOf, the channel of a row's element counted from the row's first; InputElement and OutElement, the types in memory of x
// and out; AffineElement, that of weight and bias, four of them where WIDE_AFFINE.
struct Params {
  rows: u32,
  length: u32,
  groups: u32,
  channelsPerGroup: u32,
  spatial: u32,
  offset: u32,
  weightOffset: u32,
  biasOffset: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<InputElement>;
@group(0) @binding(2) var<storage, read> weight: array<AffineElement>;
@group(0) @binding(3) var<storage, read> bias: array<AffineElement>;
@group(0) @binding(4) var<storage, read_write> out: array<OutElement>;
// [rows, 2]: mean and 1 / sqrt(variance + eps), for the gradient.
@group(0) @binding(5) var<storage, read_write> statistics: array<vec2<f32>>;

alias Scalar = f32;

// Blocks a thread keeps, or that it takes a turn.
const BLOCKS = max(KEPT / ELEMENTS, 1u);

// Scale and shift of elements from i on.
fn affineOf(firstChannel: u32, i: u32, count: u32) -> array<vec4<f32>, 2> {
  if (WIDE_AFFINE) {
    let at = firstChannel + i;
    return array<vec4<f32>, 2>(
      vec4<f32>(vec4(weight[(params.weightOffset + at) / 4u])),
      vec4<f32>(vec4(bias[(params.biasOffset + at) / 4u])),
    );
  }
  var affine: array<vec4<f32>, 2>;
  for (var e = 0u; e < ELEMENTS; e++) { // unroll
    if (e < count) {
      let channel = firstChannel + channelOf(i + e);
      affine[0][e] = vec4<f32>(vec4(weight[params.weightOffset + channel])).x;
      affine[1][e] = vec4<f32>(vec4(bias[params.biasOffset + channel])).x;
    }
  }
  return affine;
}

@compute @workgroup_size(LANES * ROWS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (group.x + group.y * grid.x) * ROWS + thread / LANES;
  // Rows past the end have no elements: what is stored may lie over what is read.
  let length = select(0u, params.length, row < params.rows);
  let base = row * params.length;
  let count = f32(params.length);
  let stride = ELEMENTS * LANES;
  // A row that is kept is one turn; an index that is a constant keeps it in registers.
  let turns = select((length + stride - 1u) / stride, 1u, KEPT > 0u);
  var kept: array<f32, max(KEPT, ELEMENTS)>;
  var sum = 0.0;
  for (var turn = 0u; turn < turns; turn++) {
    for (var block = 0u; block < BLOCKS; block++) { // unroll
      let first = ELEMENTS * (thread % LANES) + (turn * BLOCKS + block) * stride;
      if (first < length) {
        prepareFetch(base + first);
        let piece = fetchPiece(base + first, length - first);
        for (var e = 0u; e < ELEMENTS; e++) { // unroll
          if (WIDE_INPUT || first + e < length) {
            if (KEPT > 0u) { kept[block * ELEMENTS + e] = piece[e]; }
            sum += piece[e];
          }
        }
      }
    }
  }
  let mean = rowReduce(thread, vec2<f32>(sum, 0.0)).x / count;
  var sums = vec2<f32>();
  for (var turn = 0u; turn < turns; turn++) {
    for (var block = 0u; block < BLOCKS; block++) { // unroll
      let first = ELEMENTS * (thread % LANES) + (turn * BLOCKS + block) * stride;
      if (first < length) {
        var piece: vec4<f32>;
        if (KEPT == 0u) { piece = fetchPieceAgain(base + first, length - first); }
        for (var e = 0u; e < ELEMENTS; e++) { // unroll
          if (WIDE_INPUT || first + e < length) {
            if (KEPT > 0u) { piece[e] = kept[block * ELEMENTS + e]; }
            let d = piece[e] - mean;
            sums += vec2<f32>(d, d * d);
          }
        }
      }
    }
  }
  let about = rowReduce(thread, sums) / count;
  let inverse = inverseSqrt(about.y - about.x * about.x + params.eps);
  let firstChannel = (row % params.groups) * params.channelsPerGroup;
  for (var turn = 0u; turn < turns; turn++) {
    for (var block = 0u; block < BLOCKS; block++) { // unroll
      let first = ELEMENTS * (thread % LANES) + (turn * BLOCKS + block) * stride;
      if (first < length) {
        prepare(base + first);
        var piece: vec4<f32>;
        if (KEPT > 0u) {
          for (var e = 0u; e < ELEMENTS; e++) { // unroll
            piece[e] = kept[block * ELEMENTS + e];
          }
        } else {
          piece = fetchPieceAgain(base + first, length - first);
        }
        let affine = affineOf(firstChannel, first, length - first);
        // The mean and its rounding apart: their sum would round again.
        emitPiece(base + first, (piece - mean - about.x) * inverse * affine[0] + affine[1], length - first);
      }
    }
  }
  if (thread % LANES == 0u && row < params.rows) { statistics[row] = vec2<f32>(mean + about.x, inverse); }
}
