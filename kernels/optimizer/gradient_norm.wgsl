// The first of two kernels of an optimiser's step: sums of squares of a shard's gradients, divided by the loss scale, over
// as many chunks as there are workgroups; adamw.wgsl adds them up. Where a step begins it is counted, and the reciprocal of
// its loss scale put where the second kernel, which may change the scale, finds it.
// state: steps counted, loss scale, good steps since the scale changed, reciprocal of this step's scale.
// In front: LANES, the threads of a workgroup; Vector, the f32 that a thread takes at once, as in adamw.wgsl.
struct Params {
  size: u32,
  // Vectors a workgroup.
  chunk: u32,
  // 1 where a step begins.
  begins: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradients: array<Vector>;
@group(0) @binding(2) var<storage, read_write> state: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let inverse = 1.0 / state[1];
  var squares = Vector();
  let end = min((group.x + 1u) * params.chunk, (params.size + WIDTH - 1u) / WIDTH);
  for (var i = group.x * params.chunk + thread; i < end; i += LANES) {
    let g = select(Vector(), gradients[i] * inverse, inside(i));
    squares += g * g;
  }
  let sum = rowReduce(thread, total(squares));
  if (thread > 0u) { return; }
  sums[group.x] = sum;
  if (group.x == 0u && params.begins == 1u) {
    state[0] += 1.0;
    state[3] = inverse;
  }
}
