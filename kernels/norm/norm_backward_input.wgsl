// Gradient of norm.wgsl with respect to x:
//   dx = inverse (g - mean(g) - xhat mean(g xhat)),  g = dy weight[channel],  xhat = (x - mean) inverse
// In front: LANES and ROWS, the threads that share a row and the rows a workgroup; KEPT, the elements of a row that a thread
// keeps in registers, 0 to read them again; ELEMENTS and WIDE_OUTPUT, see emit_pieces.wgsl; channelOf, the channel of a row's
// element counted from the row's first; Element, the type in memory of x and grad, four of them where WIDE_INPUT;
// AffineElement, that of weight, four where WIDE_AFFINE; OutElement, that of out.
struct Params {
  rows: u32,
  length: u32,
  groups: u32,
  channelsPerGroup: u32,
  spatial: u32,
  xOffset: u32,
  weightOffset: u32,
  gradOffset: u32,
  statisticsOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> weight: array<AffineElement>;
@group(0) @binding(3) var<storage, read> statistics: array<f32>;
@group(0) @binding(4) var<storage, read> grad: array<Element>;
@group(0) @binding(5) var<storage, read_write> out: array<OutElement>;

// g and xhat of ELEMENTS neighbours, of which `count` are left, beginning with `i`.
fn pairsAt(base: u32, firstChannel: u32, i: u32, count: u32, mean: f32, inverse: f32) -> array<vec4<f32>, 2> {
  let at = base + i;
  var slopes: vec4<f32>;
  var values: vec4<f32>;
  if (WIDE_INPUT) {
    slopes = vec4<f32>(vec4(grad[(params.gradOffset + at) / 4u]));
    values = vec4<f32>(vec4(x[(params.xOffset + at) / 4u]));
  } else {
    for (var e = 0u; e < ELEMENTS; e++) { // unroll
      if (e < count) {
        slopes[e] = vec4<f32>(vec4(grad[params.gradOffset + at + e])).x;
        values[e] = vec4<f32>(vec4(x[params.xOffset + at + e])).x;
      }
    }
  }
  var scales: vec4<f32>;
  if (WIDE_AFFINE) {
    scales = vec4<f32>(vec4(weight[(params.weightOffset + firstChannel + i) / 4u]));
  } else {
    for (var e = 0u; e < ELEMENTS; e++) { // unroll
      if (e < count) { scales[e] = vec4<f32>(vec4(weight[params.weightOffset + firstChannel + channelOf(i + e)])).x; }
    }
  }
  return array<vec4<f32>, 2>(slopes * scales, (values - mean) * inverse);
}

// Blocks a thread keeps, or that it takes a turn.
const BLOCKS = max(KEPT / ELEMENTS, 1u);

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
  let own = params.statisticsOffset + 2u * min(row, params.rows - 1u);
  let mean = statistics[own];
  let inverse = statistics[own + 1u];
  let firstChannel = (row % params.groups) * params.channelsPerGroup;
  let stride = ELEMENTS * LANES;
  // A row that is kept is one turn; an index that is a constant keeps it in registers.
  let turns = select((length + stride - 1u) / stride, 1u, KEPT > 0u);
  var kept: array<vec2<f32>, max(KEPT, ELEMENTS)>;
  var sums = vec2<f32>();
  for (var turn = 0u; turn < turns; turn++) {
    for (var block = 0u; block < BLOCKS; block++) { // unroll
      let first = ELEMENTS * (thread % LANES) + (turn * BLOCKS + block) * stride;
      if (first < length) {
        let pairs = pairsAt(base, firstChannel, first, length - first, mean, inverse);
        for (var e = 0u; e < ELEMENTS; e++) { // unroll
          if (WIDE_INPUT || first + e < length) {
            let value = vec2<f32>(pairs[0][e], pairs[1][e]);
            if (KEPT > 0u) { kept[block * ELEMENTS + e] = value; }
            sums += vec2<f32>(value.x, value.x * value.y);
          }
        }
      }
    }
  }
  let means = rowReduce(thread, sums) / f32(params.length);
  for (var turn = 0u; turn < turns; turn++) {
    for (var block = 0u; block < BLOCKS; block++) { // unroll
      let first = ELEMENTS * (thread % LANES) + (turn * BLOCKS + block) * stride;
      if (first < length) {
        prepare(base + first);
        var pairs: array<vec4<f32>, 2>;
        if (KEPT > 0u) {
          for (var e = 0u; e < ELEMENTS; e++) { // unroll
            pairs[0][e] = kept[block * ELEMENTS + e].x;
            pairs[1][e] = kept[block * ELEMENTS + e].y;
          }
        } else {
          pairs = pairsAt(base, firstChannel, first, length - first, mean, inverse);
        }
        emitPiece(base + first, inverse * (pairs[0] - means.x - pairs[1] * means.y), length - first);
      }
    }
  }
}
