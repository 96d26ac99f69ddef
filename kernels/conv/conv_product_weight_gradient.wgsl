// out[split, o, c, j, k] = sum over the split's share of (b, s, t) of grad[b, o, s, t]
// x[b, c, s strideY + j dilationY - paddingY, t strideX + k dilationX - paddingX], for hardware adapters: a product of
// matrices, grad [o, n] x input [n, q], where n counts the places (s, t) of a clip and q counts (c, j, k); the input is
// gathered on the way. A split has `clips` clips, and of each `chunk` places; splits are added in a second pass, always in
// the same order. In front of it tile_product.wgsl or matrix_product.wgsl makes the product.
// In front: FLAT, whether planes have one row alone; KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE_Y and STRIDE_X; AElement, BElement and OutElement, the types in memory; fourOfA,
// which reads the first `valid` of four elements of `a`, `step` apart.
struct Params {
  batch: u32,
  inPerGroup: u32,
  inHeight: u32,
  inWidth: u32,
  outPerGroup: u32,
  outHeight: u32,
  outWidth: u32,
  paddingY: u32,
  paddingX: u32,
  dilationY: u32,
  dilationX: u32,
  groups: u32,
  clips: u32,
  chunk: u32,
  xOffset: u32,
  gradOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AElement>;
@group(0) @binding(2) var<storage, read> b: array<BElement>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

struct Tile {
  row: u32,
  column: u32,
  // Where the group's gradients and the clip's inputs begin, and the split's sums.
  grads: u32,
  inputs: u32,
  sums: u32,
}

struct Row {
  at: u32,
}

// Where a column's channel begins, and how far from where a place's window begins its tap reads.
struct Column {
  plane: u32,
  shiftY: u32,
  shiftX: u32,
}

fn rowOf(tile: Tile, row: u32) -> Row {
  return Row(tile.grads + min(tile.row + row, params.outPerGroup - 1u) * params.outHeight * params.outWidth);
}

fn columnOf(tile: Tile, column: u32) -> Column {
  let taps = KERNEL_HEIGHT * KERNEL_WIDTH;
  // Beyond the last column the last again.
  let q = min(tile.column + column, params.inPerGroup * taps - 1u);
  let tap = q % taps;
  return Column(
    tile.inputs + q / taps * params.inHeight * params.inWidth,
    tap / KERNEL_WIDTH * params.dilationY - params.paddingY,
    tap % KERNEL_WIDTH * params.dilationX - params.paddingX,
  );
}

fn fourA(row: Row, n: u32, first: u32, end: u32) -> vec4<f32> {
  if (n + first >= end) { return vec4<f32>(); }
  return fourOfA(row.at + n + first, 1u, min(4u, end - n - first));
}

// Positions before the start wrap around to huge numbers, which the test refuses.
fn loadInput(plane: u32, row: u32, column: u32, isThere: bool) -> f32 {
  let inside = isThere && row < params.inHeight && column < params.inWidth;
  return select(0.0, f32(b[select(0u, plane + row * params.inWidth + column, inside)]), inside);
}

fn fourB(column: Column, n: u32, first: u32, end: u32) -> vec4<f32> {
  let places = n + first + vec4<u32>(0u, 1u, 2u, 3u);
  let isThere = places < vec4<u32>(end);
  if (FLAT) {
    let t = places * STRIDE_X + column.shiftX;
    if (isThere.w && t.x < params.inWidth && t.w < params.inWidth) {
      let at = column.plane + t;
      return vec4<f32>(f32(b[at.x]), f32(b[at.y]), f32(b[at.z]), f32(b[at.w]));
    }
    return vec4<f32>(
      loadInput(column.plane, 0u, t.x, isThere.x),
      loadInput(column.plane, 0u, t.y, isThere.y),
      loadInput(column.plane, 0u, t.z, isThere.z),
      loadInput(column.plane, 0u, t.w, isThere.w),
    );
  }
  let s = places / params.outWidth * STRIDE_Y + column.shiftY;
  let t = places % params.outWidth * STRIDE_X + column.shiftX;
  return vec4<f32>(
    loadInput(column.plane, s.x, t.x, isThere.x),
    loadInput(column.plane, s.y, t.y, isThere.y),
    loadInput(column.plane, s.z, t.z, isThere.z),
    loadInput(column.plane, s.w, t.w, isThere.w),
  );
}

fn keep(tile: Tile, row: u32, column: u32, sum: f32) {
  let depth = params.inPerGroup * KERNEL_HEIGHT * KERNEL_WIDTH;
  let channel = tile.row + row;
  let q = tile.column + column;
  if (channel >= params.outPerGroup || q >= depth) { return; }
  out[tile.sums + channel * depth + q] = OutElement(sum);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let workgroup = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let group = workgroup.z % params.groups;
  let split = workgroup.z / params.groups;
  let depth = params.inPerGroup * KERNEL_HEIGHT * KERNEL_WIDTH;
  let plane = params.outHeight * params.outWidth;
  let shares = (plane + params.chunk - 1u) / params.chunk;
  let start = split % shares * params.chunk;
  let firstClip = split / shares * params.clips;
  var tile = Tile(workgroup.y * TILE_M, workgroup.x * TILE_N, 0u, 0u, workgroup.z * params.outPerGroup * depth);
  var sums: Sums;
  for (var clip = firstClip; clip < min(params.batch, firstClip + params.clips); clip++) {
    tile.grads = params.gradOffset + (clip * params.groups + group) * params.outPerGroup * plane;
    tile.inputs = params.xOffset + (clip * params.groups + group) * params.inPerGroup * params.inHeight * params.inWidth;
    addProducts(&sums, tile, lane, start, min(plane, start + params.chunk));
  }
  keepSums(&sums, tile, lane);
}
