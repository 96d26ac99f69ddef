// The first half of a scan along the middle axis of [outer, length, inner]: what each chunk adds up to.
//   RECURRENT false: totals[outer, chunk, inner] = sum of x over the chunk
//   RECURRENT true:  what h = factor h + x becomes over the chunk, started at 0, and behind those (at the offset
//                    outer chunks inner) the product of its factors, which is what it makes of any other start
// One thread a chunk and column. With params.reverse the axis is walked from its end, and chunks are counted from there.
// In front: Scalar, the type to compute with, Element and FactorElement, those in memory, RECURRENT.
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
@group(0) @binding(3) var<storage, read_write> totals: array<Scalar>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  let count = params.outer * params.chunks * params.inner;
  if (i >= count) { return; }
  let chunk = (i / params.inner) % params.chunks;
  let base = i / (params.inner * params.chunks) * params.length * params.inner + i % params.inner;
  var total = Scalar();
  var product = Scalar(1);
  let end = min(params.length, (chunk + 1u) * params.chunk);
  for (var step = chunk * params.chunk; step < end; step++) {
    let at = base + select(step, params.length - 1u - step, params.reverse == 1u) * params.inner;
    let value = Scalar(x[params.xOffset + at]);
    if (RECURRENT) {
      let factor = Scalar(factors[params.factorOffset + at]);
      total = factor * total + value;
      product *= factor;
    } else {
      total += value;
    }
  }
  totals[i] = total;
  if (RECURRENT) { totals[count + i] = product; }
}
