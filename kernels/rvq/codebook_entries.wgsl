// Entries of a codebook from the running averages that codebook_sums made: averages over sizes, which are smoothed so that
// none is zero,
//   entries[code] = averages[code] / ((size + epsilon) / (total + codes epsilon) total), total the sum of all sizes;
// and an entry whose size is under `threshold` is a row of x, picks[code], with the averages of as many of it. Their new
// sizes go into newSizes. A workgroup does one code.
// Source: Laplace smoothing and revival as EnCodec's core_vq.py means them.
struct Params {
  dimension: u32,
  codes: u32,
  epsilon: f32,
  threshold: f32,
  xOffset: u32,
  picksOffset: u32,
  rows: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> picks: array<i32>;
@group(0) @binding(3) var<storage, read> sizes: array<f32>;
@group(0) @binding(4) var<storage, read_write> averages: array<f32>;
@group(0) @binding(5) var<storage, read_write> entries: array<f32>;
@group(0) @binding(6) var<storage, read_write> newSizes: array<f32>;

const THREADS = 64u;
var<workgroup> parts: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  var part = 0.0;
  for (var i = lane; i < params.codes; i += THREADS) { part += sizes[i]; }
  parts[lane] = part;
  workgroupBarrier();
  if (lane == 0u) {
    for (var i = 1u; i < THREADS; i++) { part += parts[i]; }
    parts[0] = part;
  }
  workgroupBarrier();
  let total = parts[0];
  let code = group.x + group.y * groups.x;
  if (code >= params.codes) { return; }
  let own = code * params.dimension;
  let size = sizes[code];
  let isDead = size < params.threshold && params.rows > 0u;
  let smoothed = (size + params.epsilon) / (total + f32(params.codes) * params.epsilon) * total;
  let row = clamp(picks[params.picksOffset + code], 0, max(i32(params.rows), 1) - 1);
  let fresh = params.xOffset + u32(row) * params.dimension;
  for (var d = lane; d < params.dimension; d += THREADS) {
    if (isDead) {
      entries[own + d] = x[fresh + d];
      averages[own + d] = params.threshold * x[fresh + d];
    } else {
      entries[own + d] = averages[own + d] / smoothed;
    }
  }
  if (lane == 0u) { newSizes[code] = select(size, params.threshold, isDead); }
}
