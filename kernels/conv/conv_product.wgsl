// out[b, o, s, t] = sum over c, j, k of x[b, c, s strideY + j dilationY - paddingY, t strideX + k dilationX - paddingX]
// weight[o, c, j, k], in groups, or its transpose, for hardware adapters: an implicit product of matrices, weight [o, q] x
// input [q, n], where q counts (c, j, k), in the transpose (j, k, c), and n the places (s, t) of a clip; the input is gathered on
// the way. In front of it tile_product.wgsl or matrix_product.wgsl makes the product.
//
// In the transpose each phase of the stride (conv_params.wgsl, which stands in front as well) is a product of its own, in which no
// tap is wasted. x is then the gradient, `in` its sizes and channels.
//
// In front: TRANSPOSED; FLAT, whether planes have one row alone; IN_PER_GROUP, KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE_Y and
// STRIDE_X, which are divided by; AElement, BElement and OutElement, the types in memory; fourOfA, which reads the first
// `valid` of four elements of `a`, `step` apart.
struct Tile {
  // The first channel and the first place.
  row: u32,
  column: u32,
  // Where the group's weights, the clip's inputs and its outputs begin.
  weights: u32,
  inputs: u32,
  outputs: u32,
  y: Axis,
  x: Axis,
}

struct Row {
  at: u32,
  // Channels from it on.
  valid: u32,
  y: Axis,
  x: Axis,
}

struct Column {
  first: u32,
  inputs: u32,
  y: Axis,
  x: Axis,
}

fn rowOf(tile: Tile, row: u32) -> Row {
  let first = min(tile.row + row, params.outPerGroup - 1u);
  return Row(tile.weights + first * select(IN_PER_GROUP * TAPS, TAPS, TRANSPOSED), params.outPerGroup - first, tile.y, tile.x);
}

fn columnOf(tile: Tile, column: u32) -> Column {
  return Column(tile.column + column, tile.inputs, tile.y, tile.x);
}

// The channel and the tap, its row and column, that q counts.
fn partsOf(q: u32, y: Axis, x: Axis) -> vec3<u32> {
  if (!TRANSPOSED) {
    let tap = q % TAPS;
    return vec3<u32>(q / TAPS, tap / KERNEL_WIDTH, tap % KERNEL_WIDTH);
  }
  let tap = q / IN_PER_GROUP;
  let row = select(tap / x.taps, 0u, FLAT);
  return vec3<u32>(q % IN_PER_GROUP, y.first + row * y.step, x.first + (tap - row * x.taps) * x.step);
}

// Weights lie next to each other along q, in the transpose rather along the channels: `first` to `first` + 3 of these
// neighbours.
fn fourA(row: Row, q: u32, first: u32, end: u32) -> vec4<f32> {
  if (!TRANSPOSED) {
    if (q + first >= end) { return vec4<f32>(); }
    return fourOfA(row.at + q + first, 1u, min(4u, end - q - first));
  }
  if (q >= end) { return vec4<f32>(); }
  let parts = partsOf(q, row.y, row.x);
  let at = row.at + parts.x * params.outPerGroup * TAPS + parts.y * KERNEL_WIDTH + parts.z;
  // Beyond the last channel the last again.
  let own = min(first, row.valid - 1u);
  return fourOfA(at + own * TAPS, TAPS, min(4u, row.valid - own));
}

// Positions before the start wrap around to huge numbers, which the test refuses.
fn loadInput(plane: u32, row: u32, column: u32) -> f32 {
  let inside = row < params.inHeight && column < params.inWidth;
  return select(0.0, f32(b[select(0u, plane + row * params.inWidth + column, inside)]), inside);
}

fn fourB(column: Column, q: u32, first: u32, end: u32) -> vec4<f32> {
  if (q >= end) { return vec4<f32>(); }
  let parts = partsOf(q, column.y, column.x);
  let shiftX = shiftOf(parts.z, column.x, STRIDE_X, params.paddingX, params.dilationX);
  let plane = column.inputs + parts.x * params.inHeight * params.inWidth;
  let places = column.first + first + vec4<u32>(0u, 1u, 2u, 3u);
  const STRIDE = select(vec2<u32>(STRIDE_X, STRIDE_Y), vec2<u32>(1u), TRANSPOSED);
  if (FLAT) {
    let t = places * STRIDE.x + shiftX;
    if (t.x < params.inWidth && t.w < params.inWidth) {
      let at = plane + t;
      return vec4<f32>(f32(b[at.x]), f32(b[at.y]), f32(b[at.z]), f32(b[at.w]));
    }
    return vec4<f32>(
      loadInput(plane, 0u, t.x),
      loadInput(plane, 0u, t.y),
      loadInput(plane, 0u, t.z),
      loadInput(plane, 0u, t.w),
    );
  }
  let s = places / column.x.outputs * STRIDE.y + shiftOf(parts.y, column.y, STRIDE_Y, params.paddingY, params.dilationY);
  let t = places % column.x.outputs * STRIDE.x + shiftX;
  return vec4<f32>(
    loadInput(plane, s.x, t.x),
    loadInput(plane, s.y, t.y),
    loadInput(plane, s.z, t.z),
    loadInput(plane, s.w, t.w),
  );
}

fn keep(tile: Tile, row: u32, column: u32, sum: f32) {
  let channel = tile.row + row;
  let place = tile.column + column;
  if (channel >= params.outPerGroup || place >= tile.y.outputs * tile.x.outputs) { return; }
  const STRIDE = select(vec2<u32>(1u), vec2<u32>(STRIDE_X, STRIDE_Y), TRANSPOSED);
  var within = place * STRIDE.x + tile.x.phase;
  if (!FLAT) {
    within = (tile.y.phase + place / tile.x.outputs * STRIDE.y) * params.outWidth +
      tile.x.phase + place % tile.x.outputs * STRIDE.x;
  }
  let at = tile.outputs + channel * params.outHeight * params.outWidth + within;
  prepare(at / 4u * 4u);
  emit(at, sum);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let workgroup = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let part = partOf(workgroup.z);
  let y = part.y;
  let x = part.x;
  let tile = Tile(
    workgroup.y * TILE_M,
    workgroup.x * TILE_N,
    part.weights,
    part.inputs,
    part.outputs,
    y,
    x,
  );
  // Phases differ by an output at most.
  if (tile.column >= y.outputs * x.outputs) { return; }
  var sums: Sums;
  addProducts(&sums, tile, lane, 0u, IN_PER_GROUP * y.taps * x.taps);
  keepSums(&sums, tile, lane);
}
