// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): four random words from a counter and
// a key. Functions alone, for kernels that draw.

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

// Four numbers in [0, 1), of which 24 bits make each exact in f32: the counter is (block, 0, stream), the key the seed.
fn drawBlock(block: u32, seed: vec2<u32>, stream: vec2<u32>) -> vec4<f32> {
  let bits = philox(vec4<u32>(block, 0u, stream), seed);
  return vec4<f32>(bits >> vec4<u32>(8u)) * 5.9604644775390625e-8;
}

// The stream of a training step: 2^20 times its number further on.
fn streamOfStep(stream: vec2<u32>, step: u32) -> vec2<u32> {
  let low = stream.x + (step << 20u);
  return vec2<u32>(low, stream.y + (step >> 12u) + select(0u, 1u, low < stream.x));
}
