// Running averages of what chose each entry of a codebook:
//   averages[code] = decay old + (1 - decay) (the sum of the rows of x whose code it is), and sizes[code] likewise with their
// number. A workgroup does one code: its threads look through codes together, list the rows that match in their order, and
// share the dimensions among them; so the sums are in the order of the rows, without atomics.
struct Params {
  rows: u32,
  dimension: u32,
  decay: f32,
  share: f32,
  codes: u32,
  xOffset: u32,
  codesOffset: u32,
  averagesOffset: u32,
  sizesOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> codes: array<i32>;
@group(0) @binding(3) var<storage, read> oldAverages: array<f32>;
@group(0) @binding(4) var<storage, read> oldSizes: array<f32>;
@group(0) @binding(5) var<storage, read_write> averages: array<f32>;
@group(0) @binding(6) var<storage, read_write> sizes: array<f32>;

const THREADS = 64u;
// Rows that a thread looks through in a turn.
const EACH = 32u;
const TURN = THREADS * EACH;

var<workgroup> counts: array<u32, THREADS>;
var<workgroup> found: u32;
var<workgroup> matching: array<u32, TURN>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let code = group.x + group.y * groups.x;
  let own = code * params.dimension;
  var size = 0u;
  for (var start = 0u; start < params.rows; start += TURN) {
    let first = min(start + lane * EACH, params.rows);
    let end = min(first + EACH, params.rows);
    var count = 0u;
    for (var row = first; row < end; row++) {
      if (u32(codes[params.codesOffset + row]) == code) { count++; }
    }
    counts[lane] = count;
    workgroupBarrier();
    // Where each thread's rows begin in the list.
    if (lane == 0u) {
      var begin = 0u;
      for (var i = 0u; i < THREADS; i++) {
        let next = begin + counts[i];
        counts[i] = begin;
        begin = next;
      }
      found = begin;
    }
    workgroupBarrier();
    if (count > 0u) {
      var at = counts[lane];
      for (var row = first; row < end; row++) {
        if (u32(codes[params.codesOffset + row]) == code) {
          matching[at] = row;
          at++;
        }
      }
    }
    let all = found;
    workgroupBarrier();
    if (code < params.codes) {
      for (var d = lane; d < params.dimension; d += THREADS) {
        var sum = 0.0;
        if (start > 0u) { sum = averages[own + d]; }
        for (var i = 0u; i < all; i++) { sum += x[params.xOffset + matching[i] * params.dimension + d]; }
        averages[own + d] = sum;
      }
    }
    size += all;
    workgroupBarrier();
  }
  if (code >= params.codes) { return; }
  for (var d = lane; d < params.dimension; d += THREADS) {
    var sum = 0.0;
    if (params.rows > 0u) { sum = averages[own + d]; }
    averages[own + d] = params.decay * oldAverages[params.averagesOffset + own + d] + params.share * sum;
  }
  if (lane == 0u) { sizes[code] = params.decay * oldSizes[params.sizesOffset + code] + params.share * f32(size); }
}
