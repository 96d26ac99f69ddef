// C[batch, m, n] = A[batch, m, k] B[batch, k, n] with any strides: a transposed operand is read in place.
// A thread makes an 8 x 8 block of C in registers and reads A and B straight from memory: on CPU drivers, where
// workgroup barriers are costly, this beats tiling; on a GPU it serves products too small for a tile. Written out row
// by row, because arrays that are indexed by a loop leave the registers. 8 x 8 is twice as fast there as 4 x 4.
// In front: AElement, BElement and OutElement, the types in memory; sums are in f32.
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
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AElement>;
@group(0) @binding(2) var<storage, read> b: array<BElement>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

// One row of the block: columns 0 to 3 and 4 to 7.
fn store(row: u32, column: u32, at: u32, left: vec4<f32>, right: vec4<f32>) {
  if (row >= params.m) { return; }
  prepare(at);
  for (var j = 0u; j < min(4u, params.n - column); j++) { emit(at + j, left[j]); }
  if (params.n > column + 4u) {
    prepare(at + 4u);
    for (var j = 0u; j < min(4u, params.n - column - 4u); j++) { emit(at + 4u + j, right[j]); }
  }
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(8u, 8u, 1u);
  let row = id.y * 8u;
  let column = id.x * 8u;
  if (row >= params.m || column >= params.n) { return; }
  let batch = id.z;
  let outer = batch / params.batchInner;
  let inner = batch % params.batchInner;
  // Rows and columns past the edge read the last one and are not stored.
  let four = vec4<u32>(0u, 1u, 2u, 3u);
  let lastRow = vec4<u32>(params.m - 1u);
  let lastColumn = vec4<u32>(params.n - 1u);
  let aBase = params.aOffset + outer * params.aBatchOuter + inner * params.aBatchInner;
  let bBase = params.bOffset + outer * params.bBatchOuter + inner * params.bBatchInner;
  var top = aBase + min(row + four, lastRow) * params.aRow;
  var bottom = aBase + min(row + 4u + four, lastRow) * params.aRow;
  var left = bBase + min(column + four, lastColumn) * params.bColumn;
  var right = bBase + min(column + 4u + four, lastColumn) * params.bColumn;
  var l0 = vec4<f32>();
  var r0 = vec4<f32>();
  var l1 = vec4<f32>();
  var r1 = vec4<f32>();
  var l2 = vec4<f32>();
  var r2 = vec4<f32>();
  var l3 = vec4<f32>();
  var r3 = vec4<f32>();
  var l4 = vec4<f32>();
  var r4 = vec4<f32>();
  var l5 = vec4<f32>();
  var r5 = vec4<f32>();
  var l6 = vec4<f32>();
  var r6 = vec4<f32>();
  var l7 = vec4<f32>();
  var r7 = vec4<f32>();
  for (var k = 0u; k < params.k; k++) {
    let bl = vec4<f32>(f32(b[left.x]), f32(b[left.y]), f32(b[left.z]), f32(b[left.w]));
    let br = vec4<f32>(f32(b[right.x]), f32(b[right.y]), f32(b[right.z]), f32(b[right.w]));
    let at = vec4<f32>(f32(a[top.x]), f32(a[top.y]), f32(a[top.z]), f32(a[top.w]));
    let ab = vec4<f32>(f32(a[bottom.x]), f32(a[bottom.y]), f32(a[bottom.z]), f32(a[bottom.w]));
    l0 += at.x * bl;
    r0 += at.x * br;
    l1 += at.y * bl;
    r1 += at.y * br;
    l2 += at.z * bl;
    r2 += at.z * br;
    l3 += at.w * bl;
    r3 += at.w * br;
    l4 += ab.x * bl;
    r4 += ab.x * br;
    l5 += ab.y * bl;
    r5 += ab.y * br;
    l6 += ab.z * bl;
    r6 += ab.z * br;
    l7 += ab.w * bl;
    r7 += ab.w * br;
    top += params.aColumn;
    bottom += params.aColumn;
    left += params.bRow;
    right += params.bRow;
  }
  let base = (batch * params.m + row) * params.n + column;
  store(row, column, base, l0, r0);
  store(row + 1u, column, base + 1u * params.n, l1, r1);
  store(row + 2u, column, base + 2u * params.n, l2, r2);
  store(row + 3u, column, base + 3u * params.n, l3, r3);
  store(row + 4u, column, base + 4u * params.n, l4, r4);
  store(row + 5u, column, base + 5u * params.n, l5, r5);
  store(row + 6u, column, base + 6u * params.n, l6, r6);
  store(row + 7u, column, base + 7u * params.n, l7, r7);
}
