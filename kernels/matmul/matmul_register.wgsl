// C[batch, m, n] = A[batch, m, k] B[batch, k, n] with any strides: a transposed operand is read in place.
// A thread makes a 4 x 4 block of C in registers and reads A and B straight from memory: on CPU drivers, where
// workgroup barriers are costly, this beats tiling; on a GPU it serves products too small for a tile.
struct Params {
  m: u32,
  n: u32,
  k: u32,
  batchInner: u32,
  aOffset: u32,
  bOffset: u32,
  aRow: u32,
  aColumn: u32,
  bRow: u32,
  bColumn: u32,
  aBatchOuter: u32,
  aBatchInner: u32,
  bBatchOuter: u32,
  bBatchInner: u32,
  // Batches beyond what a grid is deep come in several dispatches.
  batchStart: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.y * 4u;
  let column = id.x * 4u;
  if (row >= params.m || column >= params.n) { return; }
  let batch = id.z + params.batchStart;
  let outer = batch / params.batchInner;
  let inner = batch % params.batchInner;
  // Rows and columns past the edge read the last one and are not stored.
  let rows = min(vec4<u32>(row) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.m - 1u));
  let columns = min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.n - 1u));
  var ia = params.aOffset + outer * params.aBatchOuter + inner * params.aBatchInner + rows * params.aRow;
  var ib = params.bOffset + outer * params.bBatchOuter + inner * params.bBatchInner + columns * params.bColumn;
  var c0 = vec4<f32>();
  var c1 = vec4<f32>();
  var c2 = vec4<f32>();
  var c3 = vec4<f32>();
  for (var k = 0u; k < params.k; k++) {
    let bk = vec4<f32>(b[ib.x], b[ib.y], b[ib.z], b[ib.w]);
    c0 += a[ia.x] * bk;
    c1 += a[ia.y] * bk;
    c2 += a[ia.z] * bk;
    c3 += a[ia.w] * bk;
    ia += params.aColumn;
    ib += params.bRow;
  }
  let base = (batch * params.m + row) * params.n + column;
  for (var j = 0u; j < min(4u, params.n - column); j++) {
    out[base + j] = c0[j];
    if (row + 1u < params.m) { out[base + params.n + j] = c1[j]; }
    if (row + 2u < params.m) { out[base + 2u * params.n + j] = c2[j]; }
    if (row + 3u < params.m) { out[base + 3u * params.n + j] = c3[j]; }
  }
}
