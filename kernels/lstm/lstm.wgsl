// The recurrence of an LSTM layer, all steps in one dispatch, one workgroup a clip. With i, f, g, o the gates one after
// another along the last axis: z = projected[t] + h W', c = sigmoid(f) c + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c).
// projected [time, batch, 4 SIZE] is what the input adds to the gates; weight [SIZE, 4 SIZE] is W', so that neighbouring
// threads read neighbouring elements; state [2, batch, SIZE] is h and c before the first step. Out come h [time, batch,
// SIZE], the gates after their functions, and c, which the gradient needs.
// In front: SIZE; LANES, the threads of a workgroup; GROUPS, the fours of gates that a thread sums up at a time.
struct Params {
  time: u32,
  batch: u32,
  projectedOffset: u32,
  weightOffset: u32,
  stateOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> projected: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> state: array<f32>;
@group(0) @binding(4) var<storage, read_write> hidden: array<f32>;
@group(0) @binding(5) var<storage, read_write> gates: array<f32>;
@group(0) @binding(6) var<storage, read_write> cells: array<f32>;

var<workgroup> h: array<f32, SIZE>;
var<workgroup> z: array<vec4<f32>, SIZE>;

fn gate(at: u32) -> f32 { return z[at / 4u][at % 4u]; }

fn sigmoid(x: f32) -> f32 {
  let e = exp(-abs(x));
  return select(1.0, e, x < 0.0) / (1.0 + e);
}

fn hyperbolic(x: f32) -> f32 {
  let e = exp(-2.0 * abs(x));
  let y = (1.0 - e) / (1.0 + e);
  return select(y, -y, x < 0.0);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let clip = group.x;
  for (var e = thread; e < SIZE; e += LANES) { h[e] = state[params.stateOffset + clip * SIZE + e]; }
  workgroupBarrier();
  for (var t = 0u; t < params.time; t++) {
    let row = t * params.batch + clip;
    let source = params.projectedOffset + row * 4u * SIZE;
    for (var first = thread; first < SIZE; first += GROUPS * LANES) {
      var sums = array<vec4<f32>, GROUPS>();
      // Past the end it is the last four again, which is thrown away.
      var places = array<u32, GROUPS>();
      for (var j = 0u; j < GROUPS; j++) { places[j] = params.weightOffset + min(first + j * LANES, SIZE - 1u); }
      for (var k = 0u; k < SIZE; k++) {
        let own = h[k];
        for (var j = 0u; j < GROUPS; j++) { sums[j] += own * weight[places[j] + k * SIZE]; }
      }
      for (var j = 0u; j < GROUPS; j++) {
        let four = first + j * LANES;
        if (four < SIZE) {
          let at = source + 4u * four;
          z[four] = sums[j] + vec4<f32>(projected[at], projected[at + 1u], projected[at + 2u], projected[at + 3u]);
        }
      }
    }
    workgroupBarrier();
    for (var e = thread; e < SIZE; e += LANES) {
      let i = sigmoid(gate(e));
      let f = sigmoid(gate(SIZE + e));
      let g = hyperbolic(gate(2u * SIZE + e));
      let o = sigmoid(gate(3u * SIZE + e));
      var c = 0.0;
      if (t == 0u) {
        c = state[params.stateOffset + (params.batch + clip) * SIZE + e];
      } else {
        // The thread wrote it itself.
        c = cells[(row - params.batch) * SIZE + e];
      }
      c = f * c + i * g;
      let out = o * hyperbolic(c);
      h[e] = out;
      hidden[row * SIZE + e] = out;
      cells[row * SIZE + e] = c;
      let to = row * 4u * SIZE + e;
      gates[to] = i;
      gates[to + SIZE] = f;
      gates[to + 2u * SIZE] = g;
      gates[to + 3u * SIZE] = o;
    }
    workgroupBarrier();
  }
}
