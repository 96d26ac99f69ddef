// What both backward passes need of each query, in one buffer of bits: the logarithm of its sum, and the sum over the head
// of gradient times output (Dao, "FlashAttention-2", 2023: D); after all of them, the number of the step.
// A thread a query. y is the output, found by the parameters of q; `logSums` starts at kOffset. Parameters and functions: attention_params.wgsl, which stands in front.
@group(0) @binding(1) var<storage, read> y: array<Stored>;
@group(0) @binding(2) var<storage, read> g: array<Stored>;
@group(0) @binding(3) var<storage, read> logSums: array<f32>;
@group(0) @binding(4) var<storage, read> steps: array<u32>;
@group(0) @binding(5) var<storage, read_write> statistics: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let at = id.x + id.y * groups.x * 64u;
  if (at == 0u) { statistics[2u * params.pairs * params.queries] = steps[params.stepOffset]; }
  if (at >= params.pairs * params.queries) { return; }
  let pair = at / params.queries;
  let row = at % params.queries;
  let yRow = headOf(pair, params.qOffset, params.qBatch, params.qHead) + row * params.qRow;
  let gRow = headOf(pair, params.gOffset, params.gBatch, params.gHead) + row * params.gRow;
  var sum = vec4<f32>();
  for (var c = 0u; c < params.chunks; c++) { sum += readY(yRow, c) * readG(gRow, c); }
  statistics[2u * at] = bitcast<u32>(logSums[params.kOffset + at]);
  statistics[2u * at + 1u] = bitcast<u32>((sum.x + sum.y) + (sum.z + sum.w));
}
