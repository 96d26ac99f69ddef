// Gradient of norm.wgsl with respect to x:
//   dx = inverse (g - mean(g) - xhat mean(g xhat)),  g = dy weight[channel],  xhat = (x - mean) inverse
// In front: LANES and ROWS, the threads that share a row and the rows a workgroup; KEPT, the elements of a row that a thread
// keeps in registers, 0 to read them again; ELEMENTS, neighbours that a thread takes together: 1, or 4 where prepare()
// draws for them; channelOf, the channel of a row's element counted from the row's first; Element, the type in memory of x and
// grad; AffineElement and OutElement, those of weight and out.
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

// g and xhat of an element.
fn pairAt(at: u32, channel: u32, mean: f32, inverse: f32) -> vec2<f32> {
  let g = f32(grad[params.gradOffset + at]) * f32(weight[params.weightOffset + channel]);
  return vec2<f32>(g, (f32(x[params.xOffset + at]) - mean) * inverse);
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
      for (var e = 0u; e < ELEMENTS; e++) { // unroll
        let i = first + e;
        if (i < length) {
          let value = pairAt(base + i, firstChannel + channelOf(i), mean, inverse);
          if (KEPT > 0u) { kept[block * ELEMENTS + e] = value; }
          sums += vec2<f32>(value.x, value.x * value.y);
        }
      }
    }
  }
  let means = rowReduce(thread, sums) / f32(params.length);
  for (var turn = 0u; turn < turns; turn++) {
    for (var block = 0u; block < BLOCKS; block++) { // unroll
      let first = ELEMENTS * (thread % LANES) + (turn * BLOCKS + block) * stride;
      if (first < length) { prepare(base + first); }
      for (var e = 0u; e < ELEMENTS; e++) { // unroll
        let i = first + e;
        if (i < length) {
          var value = vec2<f32>();
          if (KEPT > 0u) {
            value = kept[block * ELEMENTS + e];
          } else {
            value = pairAt(base + i, firstChannel + channelOf(i), mean, inverse);
          }
          emit(base + i, inverse * (value.x - means.x - value.y * means.y));
        }
      }
    }
  }
}
