// For each column of v [rows, columns], over a chunk of rows: the sum of v^2, and in the gradient that of v dw. A workgroup
// takes 32 columns of a chunk with 8 threads each, whose sums it adds in their order.
// In front: GRADIENT; Element and GradElement, the types in memory of v and dw (v again where there is no gradient).
struct Params {
  rows: u32,
  columns: u32,
  chunk: u32,
  offset: u32,
  gradOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> v: array<Element>;
@group(0) @binding(2) var<storage, read> grad: array<GradElement>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;

const COLUMNS = 32u;
const THREADS = 8u;
var<workgroup> shares: array<array<vec2<f32>, COLUMNS>, THREADS>;

@compute @workgroup_size(32, 8)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let column = group.x * COLUMNS + local.x;
  let start = group.y * params.chunk;
  let end = min(params.rows, start + params.chunk);
  var sum = vec2<f32>();
  if (column < params.columns) {
    for (var row = start + local.y; row < end; row += THREADS) {
      let at = row * params.columns + column;
      let element = f32(v[params.offset + at]);
      var other = 0.0;
      if (GRADIENT) { other = f32(grad[params.gradOffset + at]); }
      sum += element * vec2<f32>(element, other);
    }
  }
  shares[local.y][local.x] = sum;
  workgroupBarrier();
  if (local.y == 0u && column < params.columns) {
    for (var i = 1u; i < THREADS; i++) { sum += shares[i][local.x]; }
    out[group.y * params.columns + column] = sum;
  }
}
