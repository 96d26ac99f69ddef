// out[b, c, s, t] = the largest of x[b, c, s strideY + j dilationY - paddingY, t strideX + k dilationX - paddingX] over the
// taps j, k that fall inside, and indices the place of it in the plane, the first one on ties; a NaN counts as largest. Where
// no tap falls inside (dilation can step over a small plane): minus infinity and -1.
// A thread makes one output.
// In front: Element, the type in memory.
struct Params {
  size: u32,
  inHeight: u32,
  inWidth: u32,
  outHeight: u32,
  outWidth: u32,
  kernelHeight: u32,
  kernelWidth: u32,
  strideY: u32,
  strideX: u32,
  paddingY: u32,
  paddingX: u32,
  dilationY: u32,
  dilationX: u32,
  xOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> out: array<Element>;
@group(0) @binding(3) var<storage, read_write> indices: array<i32>;

fn isNan(value: f32) -> bool {
  return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.size) { return; }
  let t = i % params.outWidth;
  let s = i / params.outWidth % params.outHeight;
  let plane = params.xOffset + i / (params.outWidth * params.outHeight) * params.inHeight * params.inWidth;
  // Made of data: a constant infinity does not compile.
  var best = bitcast<f32>(0xff800000u | (i & 0u));
  var at = -1;
  for (var j = 0u; j < params.kernelHeight; j++) {
    let row = s * params.strideY + j * params.dilationY - params.paddingY;
    if (row >= params.inHeight) { continue; }
    for (var k = 0u; k < params.kernelWidth; k++) {
      let column = t * params.strideX + k * params.dilationX - params.paddingX;
      if (column >= params.inWidth) { continue; }
      let place = row * params.inWidth + column;
      let value = f32(x[plane + place]);
      if (at < 0 || (!isNan(best) && (isNan(value) || value > best))) {
        best = value;
        at = i32(place);
      }
    }
  }
  out[i] = Element(best);
  indices[i] = at;
}
