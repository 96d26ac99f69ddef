// The scores of attention_scores.wgsl in place to weights that are still to be divided by the sum of their row, some of them
// dropped; the logarithms of the sums, and their reciprocals. A thread a row: barriers are costly on CPU drivers.
// Parameters and functions: attention_params.wgsl, which stands in front.
@group(0) @binding(1) var<storage, read> steps: array<u32>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> logSums: array<f32>;
@group(0) @binding(4) var<storage, read_write> reciprocals: array<f32>;

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let own = id.x + params.groupX * 8u;
  if (own >= params.queries) { return; }
  let pair = params.first + id.z + params.groupZ;
  let at = (pair - params.first) * params.queries + own;
  let end = select(params.keys, min(params.keys, own + 1u), CAUSAL);
  let origin = at * params.keys;
  var largest = LOWEST;
  for (var j = 0u; j < end; j++) { largest = max(largest, weights[origin + j]); }
  let start = firstDraw(pair, own);
  let stream = drawStream(steps[params.stepOffset]);
  var total = 0.0;
  for (var first = 0u; first < end; first += 4u) {
    var keep = vec4<f32>(1.0);
    if (DROPS) { keep = keepFour(start, first, stream); }
    for (var j = first; j < min(end, first + 4u); j++) {
      let weight = power(weights[origin + j] - largest);
      total += weight;
      weights[origin + j] = weight * keep[j - first];
    }
  }
  // What comes later is not attended to.
  for (var j = end; j < params.keys; j++) { weights[origin + j] = 0.0; }
  // Without keys the output is 0.
  reciprocals[at] = select(1.0 / total, 0.0, end == 0u);
  logSums[pair * params.queries + own] = logSumOf(largest, total);
}
