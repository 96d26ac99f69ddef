// What the two gradients of attention for hardware adapters share; stands after attention_tiles.wgsl.

// The logarithm of the sum of each query, and what all its gains are compared with.
var<workgroup> marks: array<vec2<f32>, ROWS>;

struct Heads {
  q: u32,
  k: u32,
  v: u32,
  g: u32,
}

// Of queries and keys in the first turn, of gradients and values in the second.
fn fetchSlice(turn: u32, i: u32, heads: Heads, rowStart: u32, keyStart: u32, chunk: u32) -> vec4<f32> {
  let c = chunk + i % STEP;
  if (c >= CHUNKS) { return vec4<f32>(); }
  if (i < ROWS * STEP) {
    let row = rowStart + i / STEP;
    if (row >= params.queries) { return vec4<f32>(); }
    if (turn == 0u) { return readQ(heads.q + row * params.qRow, c); }
    return readG(heads.g + row * params.gRow, c);
  }
  let key = keyStart + i / STEP - ROWS;
  if (key >= params.keys) { return vec4<f32>(); }
  if (turn == 0u) { return readK(heads.k + key * params.kRow, c); }
  return readV(heads.v + key * params.vRow, c);
}
