// The gradient of lstm.wgsl with respect to what the input adds to the gates, from that of the hidden states: steps from
// the last to the first, one workgroup a clip. weight is [4 SIZE, SIZE], the other way round than there; gates and cells
// are what the forward pass stored, state the one before its first step.
// In front: SIZE; LANES, the threads of a workgroup; COLUMNS, the elements of h that a thread sums up at a time.
struct Params {
  time: u32,
  batch: u32,
  gradOffset: u32,
  weightOffset: u32,
  gatesOffset: u32,
  cellsOffset: u32,
  stateOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> gates: array<f32>;
@group(0) @binding(4) var<storage, read> cells: array<f32>;
@group(0) @binding(5) var<storage, read> state: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

// What later steps ask of the hidden state and of the cell, and the gradients of this step's gates.
var<workgroup> dHidden: array<f32, SIZE>;
var<workgroup> dCell: array<f32, SIZE>;
var<workgroup> dGates: array<f32, 4u * SIZE>;

fn hyperbolic(x: f32) -> f32 {
  let e = exp(-2.0 * abs(x));
  let y = (1.0 - e) / (1.0 + e);
  return select(y, -y, x < 0.0);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let clip = group.x;
  for (var e = thread; e < SIZE; e += LANES) {
    dHidden[e] = 0.0;
    dCell[e] = 0.0;
  }
  workgroupBarrier();
  for (var step = 0u; step < params.time; step++) {
    let t = params.time - 1u - step;
    let row = t * params.batch + clip;
    for (var e = thread; e < SIZE; e += LANES) {
      let at = params.gatesOffset + row * 4u * SIZE + e;
      let i = gates[at];
      let f = gates[at + SIZE];
      let g = gates[at + 2u * SIZE];
      let o = gates[at + 3u * SIZE];
      let squashed = hyperbolic(cells[params.cellsOffset + row * SIZE + e]);
      var before = 0.0;
      if (t == 0u) {
        before = state[params.stateOffset + (params.batch + clip) * SIZE + e];
      } else {
        before = cells[params.cellsOffset + (row - params.batch) * SIZE + e];
      }
      let dh = grad[params.gradOffset + row * SIZE + e] + dHidden[e];
      let dc = dCell[e] + dh * o * (1.0 - squashed * squashed);
      let own = vec4<f32>(
        dc * g * i * (1.0 - i),
        dc * before * f * (1.0 - f),
        dc * i * (1.0 - g * g),
        dh * squashed * o * (1.0 - o),
      );
      dCell[e] = dc * f;
      for (var k = 0u; k < 4u; k++) {
        dGates[k * SIZE + e] = own[k];
        out[row * 4u * SIZE + k * SIZE + e] = own[k];
      }
    }
    workgroupBarrier();
    for (var first = thread; first < SIZE; first += COLUMNS * LANES) {
      var sums = array<f32, COLUMNS>();
      for (var k = 0u; k < 4u * SIZE; k++) {
        let own = dGates[k];
        let at = params.weightOffset + k * SIZE + first;
        for (var j = 0u; j < COLUMNS; j++) {
          // Past the end it is the last one again, which is thrown away.
          sums[j] += own * weight[at + min(j * LANES, SIZE - 1u - first)];
        }
      }
      for (var j = 0u; j < COLUMNS; j++) {
        if (first + j * LANES < SIZE) { dHidden[first + j * LANES] = sums[j]; }
      }
    }
    workgroupBarrier();
  }
}
