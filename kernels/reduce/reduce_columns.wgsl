// Reduces the middle axis of [outer, length, inner]: out[outer, chunk, inner] = combine over the chunk, times scale.
// One thread a column and chunk; neighbouring threads read neighbouring columns.
// In front: as reduce_rows.
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

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.outer * params.chunks * params.inner) { return; }
  let column = i % params.inner;
  let chunk = (i / params.inner) % params.chunks;
  let outer = i / (params.inner * params.chunks);
  let base = outer * params.length * params.inner + column;
  var sum = initial(fetch(base + chunk * params.chunk * params.inner));
  let end = min(params.length, (chunk + 1u) * params.chunk);
  for (var r = chunk * params.chunk; r < end; r++) {
    sum = combine(sum, load(fetch(base + r * params.inner)));
  }
  out[i] = OutElement(finish(sum, params.scale));
}
