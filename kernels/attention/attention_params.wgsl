// What the kernels of attention share; stands in front of each of them, after the functions that draw (random/draws.wgsl).
// q [batch, heads, queries, SIZE], k and v [batch, heads, keys, SIZE] and g, the gradient of the output, [batch, heads,
// queries, SIZE] have any strides; in kernels that read by fours, offsets and strides are counted in fours.
// out and the gradients are dense [batch, time, heads, SIZE].
// In front: SIZE, of a head; MASKED, whether `visible` [batch, keys] hides keys; CAUSAL, whether keys after the query are
// left out; DROPS, whether weights are dropped; STEPPED, whether the number of a step moves the stream of the draws.
struct Params {
  heads: u32,
  queries: u32,
  keys: u32,
  // Pairs of batch and head, all of them; and the first one that a buffer of weights holds.
  pairs: u32,
  first: u32,
  // SIZE and CHUNKS where no compiler should unroll what is long: it makes CPU drivers slow.
  size: u32,
  chunks: u32,
  scale: f32,
  dropped: f32,
  kept: f32,
  qOffset: u32,
  qBatch: u32,
  qHead: u32,
  qRow: u32,
  qColumn: u32,
  kOffset: u32,
  kBatch: u32,
  kHead: u32,
  kRow: u32,
  kColumn: u32,
  vOffset: u32,
  vBatch: u32,
  vHead: u32,
  vRow: u32,
  vColumn: u32,
  gOffset: u32,
  gBatch: u32,
  gHead: u32,
  gRow: u32,
  gColumn: u32,
  visibleOffset: u32,
  visibleBatch: u32,
  visibleKey: u32,
  seedLow: u32,
  seedHigh: u32,
  streamLow: u32,
  streamHigh: u32,
  stepOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

const CHUNKS = (SIZE + 3u) / 4u;
const LOWEST = -3.4028234e38;
// The score of a hidden key. Finite, so that a row that sees nothing attends to all alike.
const HIDDEN = -3e38;

// Where a head starts. `pair` is batch * heads + head.
fn headOf(pair: u32, offset: u32, batch: u32, head: u32) -> u32 {
  return offset + (pair / params.heads) * batch + (pair % params.heads) * head;
}

// Where a row of a dense output [batch, time, heads, SIZE] starts.
fn outputRow(pair: u32, time: u32, row: u32) -> u32 {
  return (((pair / params.heads) * time + row) * params.heads + pair % params.heads) * SIZE;
}

// Whether a query and a key belong together at all.
fn meets(row: u32, key: u32) -> bool {
  return key < params.keys && !(CAUSAL && key > row);
}

fn isNotANumber(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// Some drivers' exp and log make numbers of NaN.
fn power(x: f32) -> f32 {
  return select(exp(x), x, isNotANumber(x));
}

// The logarithm of a row's sum of exp(score - largest), HIDDEN where the row sees nothing.
fn logSumOf(largest: f32, total: f32) -> f32 {
  return select(select(largest + log(total), HIDDEN, largest < -1e38), total, isNotANumber(total));
}

// The weight of a key that the query meets, from its score. The logarithm of a row's sum is HIDDEN where it sees nothing.
fn weightOf(score: f32, logSum: f32, row: u32, isVisible: bool) -> f32 {
  let alike = 1.0 / f32(select(params.keys, min(params.keys, row + 1u), CAUSAL));
  return select(select(0.0, power(score - logSum), isVisible), alike, logSum < -1e38);
}

// Which number of the draws the first weight of a row has: its low and high words. Draws come in fours, and each row begins
// with the next four, so that four neighbours are one block.
fn firstDraw(pair: u32, row: u32) -> vec2<u32> {
  let at = pair * params.queries + row;
  let width = (params.keys + 3u) / 4u * 4u;
  return vec2<u32>(at * width, multiplyHigh(at, width));
}

fn drawStream(step: u32) -> vec2<u32> {
  let stream = vec2<u32>(params.streamLow, params.streamHigh);
  if (STEPPED) { return streamOfStep(stream, step); }
  return stream;
}

// Factors of four neighbouring keys from a multiple of four on: 0 for a weight that is dropped, else 1 / (1 - p). Element by
// element as `dropout` of the weights [batch, heads, queries, keys, these rounded up to fours] would do.
fn keepFour(start: vec2<u32>, key: u32, stream: vec2<u32>) -> vec4<f32> {
  let low = start.x + key;
  let high = start.y + select(0u, 1u, low < key);
  let block = vec2<u32>((low >> 2u) | (high << 30u), high >> 2u);
  let bits = philox(vec4<u32>(block, stream), vec2<u32>(params.seedLow, params.seedHigh));
  let draws = vec4<f32>(bits >> vec4<u32>(8u)) * 5.9604644775390625e-8;
  return select(vec4<f32>(), vec4<f32>(params.kept), draws >= vec4<f32>(params.dropped));
}
