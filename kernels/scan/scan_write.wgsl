// The second half of a scan: each chunk walked again from where the chunks before it end.
// `carried` [outer, chunks, inner] holds the scan of what scan_chunks.wgsl made; it is not read where there is one chunk.
// In front: as scan_chunks, and OutElement, the type of the result in memory.
struct Params {
  outer: u32,
  length: u32,
  inner: u32,
  chunk: u32,
  chunks: u32,
  reverse: u32,
  xOffset: u32,
  factorOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> factors: array<FactorElement>;
@group(0) @binding(3) var<storage, read> carried: array<CarriedElement>;
@group(0) @binding(4) var<storage, read_write> out: array<OutElement>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.outer * params.chunks * params.inner) { return; }
  let chunk = (i / params.inner) % params.chunks;
  let base = i / (params.inner * params.chunks) * params.length * params.inner + i % params.inner;
  var total = Scalar();
  if (chunk > 0u) { total = Scalar(carried[i - params.inner]); }
  let end = min(params.length, (chunk + 1u) * params.chunk);
  for (var step = chunk * params.chunk; step < end; step++) {
    let at = base + select(step, params.length - 1u - step, params.reverse == 1u) * params.inner;
    let value = Scalar(x[params.xOffset + at]);
    if (RECURRENT) {
      total = Scalar(factors[params.factorOffset + at]) * total + value;
    } else {
      total += value;
    }
    out[at] = OutElement(total);
  }
}
