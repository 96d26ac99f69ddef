// Gradient of softmax (dx = y (dy - sum(dy y))) or of its logarithm (dx = dy - exp(y) sum(dy)) from the output y.
// In front: LANES and ROWS, the threads that share a row and the rows a workgroup; KEPT, the elements of a row that a thread
// keeps in registers, 0 to read them again; LOGARITHM; Element, the type in memory of y and grad; OutElement, that of out.
struct Params {
  rows: u32,
  length: u32,
  yOffset: u32,
  gradOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<Element>;
@group(0) @binding(2) var<storage, read> grad: array<Element>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

// y and dy.
fn pairAt(at: u32) -> vec2<f32> {
  return vec2<f32>(f32(y[params.yOffset + at]), f32(grad[params.gradOffset + at]));
}

// Elements a thread keeps, or that it takes a turn.
const STEPS = max(KEPT, 1u);

@compute @workgroup_size(LANES * ROWS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (group.x + group.y * groups.x) * ROWS + thread / LANES;
  // Rows past the end have no elements: what is stored may lie over what is read.
  let length = select(0u, params.length, row < params.rows);
  let base = row * params.length;
  // A row that is kept is one turn; an index that is a constant keeps it in registers.
  let turns = select((length + LANES - 1u) / LANES, 1u, KEPT > 0u);
  var kept: array<vec2<f32>, max(KEPT, 1u)>;
  var sum = 0.0;
  for (var turn = 0u; turn < turns; turn++) {
    for (var k = 0u; k < STEPS; k++) { // unroll
      let i = thread % LANES + (turn * STEPS + k) * LANES;
      if (i < length) {
        let own = pairAt(base + i);
        if (KEPT > 0u) { kept[k] = own; }
        if (LOGARITHM) { sum += own.y; } else { sum += own.x * own.y; }
      }
    }
  }
  let total = rowReduce(thread, sum);
  for (var turn = 0u; turn < turns; turn++) {
    for (var k = 0u; k < STEPS; k++) { // unroll
      let i = thread % LANES + (turn * STEPS + k) * LANES;
      if (i < length) {
        var own = vec2<f32>();
        if (KEPT > 0u) { own = kept[k]; } else { own = pairAt(base + i); }
        if (LOGARITHM) { emit(base + i, own.y - exp(own.x) * total); } else { emit(base + i, own.x * (own.y - total)); }
      }
    }
  }
}
