// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
// Element i takes word i % 4 of the block whose counter is (i / 4, 0, stream) and whose key is the seed, so a draw
// depends on seed, stream and index alone: not on the adapter, the grid or what was drawn before.
// In front: STEPPED (whether steps[0] * 2^20 is added to the stream, so that a replayed draw is a fresh one), DISTRIBUTION
// (0 uniform in [0, 1), 1 standard normal, 2 dropout of x); Element, the type in memory.
struct Params {
  size: u32,
  seedLow: u32,
  seedHigh: u32,
  streamLow: u32,
  streamHigh: u32,
  xOffset: u32,
  // Uniform and normal: out = draw * scale + shift. Dropout: kept with probability 1 - shift, times scale.
  scale: f32,
  shift: f32,
  // Uniform: what draws must stay below, or what would be rounded to that in memory.
  high: f32,
  stepOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> steps: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<Element>;

fn multiplyHigh(a: u32, b: u32) -> u32 {
  let al = a & 0xffffu;
  let ah = a >> 16u;
  let bl = b & 0xffffu;
  let bh = b >> 16u;
  let middle = ah * bl + ((al * bl) >> 16u);
  let carry = al * bh + (middle & 0xffffu);
  return ah * bh + (middle >> 16u) + (carry >> 16u);
}

fn philox(counter: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
  var c = counter;
  var key = seed;
  for (var round = 0u; round < 10u; round++) {
    c = vec4<u32>(
      multiplyHigh(0xCD9E8D57u, c.z) ^ c.y ^ key.x,
      0xCD9E8D57u * c.z,
      multiplyHigh(0xD2511F53u, c.x) ^ c.w ^ key.y,
      0xD2511F53u * c.x,
    );
    key += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
  }
  return c;
}

// 24 bits: every value in [0, 1) is exact in f32.
fn unit(bits: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(bits >> vec4<u32>(8u)) * 5.9604644775390625e-8;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let block = id.x + id.y * groups.x * 64u;
  if (block * 4u >= params.size) { return; }
  var stream = vec2<u32>(params.streamLow, params.streamHigh);
  if (STEPPED) {
    let step = steps[params.stepOffset];
    stream.x += step << 20u;
    stream.y += (step >> 12u) + select(0u, 1u, stream.x < params.streamLow);
  }
  let bits = philox(
    vec4<u32>(block, 0u, stream),
    vec2<u32>(params.seedLow, params.seedHigh),
  );
  let u = unit(bits);
  var values = u * params.scale + params.shift;
  if (DISTRIBUTION == 0u) {
    // Where rounding reaches the upper bound the draw goes to the lower one, which rounding leaves with half its share.
    values = select(values, vec4<f32>(params.shift), values >= vec4<f32>(params.high));
  }
  if (DISTRIBUTION == 1u) {
    // Box and Muller; 1 - u lies in (0, 1].
    let radius = sqrt(-2.0 * log(1.0 - u.xz));
    let angle = 6.283185307179586 * u.yw;
    values = vec4<f32>(radius.x * cos(angle.x), radius.x * sin(angle.x), radius.y * cos(angle.y), radius.y * sin(angle.y))
      * params.scale + params.shift;
  }
  for (var j = 0u; j < min(4u, params.size - block * 4u); j++) {
    let i = block * 4u + j;
    if (DISTRIBUTION == 2u) {
      out[i] = Element(select(0.0, f32(x[params.xOffset + i]) * params.scale, u[j] >= params.shift));
    } else {
      out[i] = Element(values[j]);
    }
  }
}
