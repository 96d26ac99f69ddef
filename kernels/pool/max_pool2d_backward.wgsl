// out[b, c, h, i] = the sum of grad over the windows whose index names this place: the gradient of max_pool2d.wgsl, without
// atomics, since each place looks at the windows that can reach it. A thread makes one element.
// In front: Element, the type of grad and out in memory.
struct Params {
  size: u32,
  height: u32,
  width: u32,
  gradHeight: u32,
  gradWidth: u32,
  kernelHeight: u32,
  kernelWidth: u32,
  strideY: u32,
  strideX: u32,
  paddingY: u32,
  paddingX: u32,
  dilationY: u32,
  dilationX: u32,
  gradOffset: u32,
  indicesOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> grad: array<Element>;
@group(0) @binding(2) var<storage, read> indices: array<i32>;
@group(0) @binding(3) var<storage, read_write> out: array<Element>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let flat = id.x + id.y * groups.x * 64u;
  if (flat >= params.size) { return; }
  let i = flat % params.width;
  let h = flat / params.width % params.height;
  let place = i32(h * params.width + i);
  let plane = flat / (params.width * params.height) * params.gradHeight * params.gradWidth;
  var sum = 0.0;
  for (var j = 0u; j < params.kernelHeight; j++) {
    let fromY = j * params.dilationY;
    if (h + params.paddingY < fromY) { break; }
    let reachY = h + params.paddingY - fromY;
    let s = reachY / params.strideY;
    if (reachY % params.strideY != 0u || s >= params.gradHeight) { continue; }
    for (var k = 0u; k < params.kernelWidth; k++) {
      let fromX = k * params.dilationX;
      if (i + params.paddingX < fromX) { break; }
      let reachX = i + params.paddingX - fromX;
      let t = reachX / params.strideX;
      if (reachX % params.strideX != 0u || t >= params.gradWidth) { continue; }
      let at = plane + s * params.gradWidth + t;
      if (indices[params.indicesOffset + at] == place) { sum += f32(grad[params.gradOffset + at]); }
    }
  }
  out[flat] = Element(sum);
}
