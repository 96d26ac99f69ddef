// reduce_columns.wgsl for hardware adapters: LANES threads share a column and chunk, COLUMNS of which, neighbours in memory,
// make a workgroup. Each thread has four loads on their way at a time; the threads of a column are joined in a fixed order.
// In front: COLUMNS; LANES, a power of two; the rest as reduce_rows.
struct Params {
  outer: u32,
  length: u32,
  inner: u32,
  chunk: u32,
  chunks: u32,
  offset: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<InputElement>;
@group(0) @binding(2) var<storage, read_write> out: array<OutElement>;

var<workgroup> shares: array<Scalar, COLUMNS * LANES>;

@compute @workgroup_size(COLUMNS * LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * COLUMNS + thread % COLUMNS;
  let lane = thread / COLUMNS;
  let count = params.outer * params.chunks * params.inner;
  // Columns past the end take the last one's and are not stored.
  let own = min(i, count - 1u);
  let chunk = (own / params.inner) % params.chunks;
  let outer = own / (params.inner * params.chunks);
  let base = outer * params.length * params.inner + own % params.inner;
  var sum = initial(fetch(base + chunk * params.chunk * params.inner));
  let end = min(params.length, (chunk + 1u) * params.chunk);
  let step = LANES * params.inner;
  var r = chunk * params.chunk + lane;
  for (; r + 3u * LANES < end; r += 4u * LANES) {
    let at = base + r * params.inner;
    let a = load(fetch(at));
    let b = load(fetch(at + step));
    let c = load(fetch(at + 2u * step));
    let d = load(fetch(at + 3u * step));
    sum = combine(sum, combine(combine(a, b), combine(c, d)));
  }
  for (; r < end; r += LANES) { sum = combine(sum, load(fetch(base + r * params.inner))); }
  shares[thread] = sum;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { shares[thread] = combine(shares[thread], shares[thread + half * COLUMNS]); }
  }
  if (lane == 0u && i < count) { out[i] = OutElement(finish(shares[thread], params.scale)); }
}
