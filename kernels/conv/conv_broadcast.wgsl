// A convolution over one axis or two, or its transpose, in groups: what conv_product.wgsl makes, for adapters that run shaders on
// the CPU and have subgroups. A subgroup makes 8 SUBGROUP places of a clip, eight neighbours a thread, of COLUMNS channels: for
// each tap a product over the channels that go in (lib/broadcast_product.wgsl, which stands in front with conv_params.wgsl).
// In front: SUBGROUP, COLUMNS; TRANSPOSED; FLAT, whether planes have one row alone; PADDED, whether a tap can lie outside;
// IN_PER_GROUP, KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE_Y and STRIDE_X; AElement, BElement and OutElement, the types in memory of
// the input, the weight and the output. Sums are in f32.
fn aAt(at: u32) -> f32 { return f32(a[at]); }
fn bAt(at: u32) -> f32 { return f32(b[at]); }

// What a tap reads at rows and columns of the first channel's plane. Positions before the start wrap around to huge numbers.
fn rowsAt(plane: u32, row: vec4<u32>, column: vec4<u32>) -> Rows {
  let at = plane + row * params.inWidth + column;
  if (!PADDED) { return allThere(at); }
  let inside = (row < vec4<u32>(params.inHeight)) & (column < vec4<u32>(params.inWidth));
  return Rows(select(vec4<u32>(plane), at, inside), inside);
}

// Where a place lies in the output's plane.
fn withinOf(place: u32, y: Axis, x: Axis) -> u32 {
  if (!TRANSPOSED) { return place; }
  if (FLAT) { return x.phase + place * STRIDE_X; }
  return (y.phase + place / x.outputs * STRIDE_Y) * params.outWidth + x.phase + place % x.outputs * STRIDE_X;
}

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let workgroup = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let part = partOf(workgroup.z);
  let y = part.y;
  let x = part.x;
  let places = y.outputs * x.outputs;
  // Phases differ by an output at most.
  if (workgroup.x * 8u * SUBGROUP >= places) { return; }
  let place = workgroup.x * 8u * SUBGROUP + lane * 8u;
  let channel = workgroup.y * COLUMNS;
  // Places and channels past the edge read the last one and are not stored.
  let four = vec4<u32>(0u, 1u, 2u, 3u);
  let upperPlaces = min(place + four, vec4<u32>(places - 1u));
  let lowerPlaces = min(place + 4u + four, vec4<u32>(places - 1u));
  const STRIDE = select(vec2<u32>(STRIDE_X, STRIDE_Y), vec2<u32>(1u), TRANSPOSED);
  var upperRow = vec4<u32>();
  var lowerRow = vec4<u32>();
  var upperColumn = upperPlaces * STRIDE.x;
  var lowerColumn = lowerPlaces * STRIDE.x;
  if (!FLAT) {
    upperRow = upperPlaces / x.outputs * STRIDE.y;
    lowerRow = lowerPlaces / x.outputs * STRIDE.y;
    upperColumn = upperPlaces % x.outputs * STRIDE.x;
    lowerColumn = lowerPlaces % x.outputs * STRIDE.x;
  }
  let inPlane = params.inHeight * params.inWidth;
  const BETWEEN_OUTPUTS = select(IN_PER_GROUP * TAPS, TAPS, TRANSPOSED);
  let betweenInputs = select(TAPS, params.outPerGroup * TAPS, TRANSPOSED);
  var upper = Sums();
  var lower = Sums();
  for (var j = 0u; j < y.taps; j++) {
    let tapY = y.first + j * y.step;
    let shiftY = select(shiftOf(tapY, y, STRIDE_Y, params.paddingY, params.dilationY), 0u, FLAT);
    for (var k = 0u; k < x.taps; k++) {
      let tapX = x.first + k * x.step;
      let shiftX = shiftOf(tapX, x, STRIDE_X, params.paddingX, params.dilationX);
      var columns = array<u32, LOADS>();
      for (var i = 0u; i < LOADS; i++) { // unroll
        let o = min(channel + i * SUBGROUP + lane, params.outPerGroup - 1u);
        columns[i] = part.weights + o * BETWEEN_OUTPUTS + tapY * KERNEL_WIDTH + tapX;
      }
      addProducts(
        &upper,
        &lower,
        rowsAt(part.inputs, upperRow + shiftY, upperColumn + shiftX),
        rowsAt(part.inputs, lowerRow + shiftY, lowerColumn + shiftX),
        inPlane,
        columns,
        betweenInputs,
        IN_PER_GROUP,
      );
    }
  }
  let mine = lane * 8u * FOURS;
  keepByColumns(mine, &upper, &lower);
  for (var c = 0u; c < COLUMNS; c++) {
    if (channel + c >= params.outPerGroup) { break; }
    let base = part.outputs + (channel + c) * params.outHeight * params.outWidth;
    for (var half = 0u; half < 2u; half++) {
      let first = place + 4u * half;
      if (first >= places) { break; }
      if (!TRANSPOSED) { prepare(base + first); }
      let sums = made[mine + 2u * c + half];
      for (var i = 0u; i < 4u; i++) { // unroll
        if (first + i < places) { emit(base + withinOf(first + i, y, x), sums[i]); }
      }
    }
  }
}
