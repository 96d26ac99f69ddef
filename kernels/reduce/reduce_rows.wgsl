// Reduces the last axis of [rows, length]: out[row, chunk] = combine over the chunk's elements, times scale.
// The threads of a row and chunk are joined in a fixed order.
// In front: LANES and ROWS, the threads that share a row and the rows a workgroup; Scalar, the type that is combined in, InputElement and OutElement, the types in memory, and
//   fn initial(first: Scalar) -> Scalar   what a sum starts from: 0, or the first element for a maximum
//   fn load(x: Scalar) -> Scalar        applied to each element of the input (identity, square, …)
//   fn combine(a: Scalar, b: Scalar) -> Scalar
//   fn finish(x: Scalar, scale: f32) -> Scalar
struct Params {
  rows: u32,
  length: u32,
  chunk: u32,
  offset: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<InputElement>;
@group(0) @binding(2) var<storage, read_write> out: array<OutElement>;

@compute @workgroup_size(LANES * ROWS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (group.y + group.z * groups.y) * ROWS + thread / LANES;
  let base = min(row, params.rows - 1u) * params.length;
  var sum = initial(fetch(base + group.x * params.chunk));
  if (row < params.rows) {
    let end = min(params.length, (group.x + 1u) * params.chunk);
    for (var i = group.x * params.chunk + thread % LANES; i < end; i += LANES) {
      sum = combine(sum, load(fetch(base + i)));
    }
  }
  let all = rowReduce(thread, sum);
  if (thread % LANES == 0u && row < params.rows) { out[row * groups.x + group.x] = OutElement(finish(all, params.scale)); }
}
