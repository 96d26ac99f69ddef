// The steps of a convolution of a signal of one channel, four output channels of a clip at a time: a row. They are so few sums
// that making them again costs less than memory does, so nobody stores them. The LANES threads of a row take turns.
// What is written out holds arrays in registers; the rest stays a loop, since what stands in the code once compiles sooner.
// In front: LANES; KERNEL taps; STRIDE; STAGED, whether a turn's samples go to the workgroup's memory first, which takes a row a
// workgroup and every thread of it; XElement and WeightElement, the types in memory. Behind: params, x and weight.
alias Taps = array<vec4<f32>, KERNEL>;
alias Window = array<f32, KERNEL>;
const CHANNELS = 4u;
const ORDER = vec4<u32>(0u, 1u, 2u, 3u);
const SPAN = LANES * STRIDE + KERNEL - STRIDE;
const KEPT_SAMPLES = select(1u, SPAN, STAGED);
var<workgroup> samples: array<f32, KEPT_SAMPLES>;

// Past the last channel it is that once more, and not stored.
fn channelsFrom(channel: u32) -> vec4<u32> {
  return min(vec4<u32>(channel) + ORDER, vec4<u32>(params.channels - 1u));
}

fn loadTaps(taps: ptr<function, Taps>, channels: vec4<u32>) {
  let first = vec4<u32>(params.weightOffset) + channels * KERNEL;
  for (var i = 0u; i < KERNEL; i++) {
    let at = first + i;
    let tap = vec4<f32>(f32(weight[at.x]), f32(weight[at.y]), f32(weight[at.z]), f32(weight[at.w]));
    for (var k = 0u; k < KERNEL; k++) { // unroll
      (*taps)[k] = select((*taps)[k], tap, i == k);
    }
  }
}

// Before LANES steps, `step` the first of them; `signal` is where the clip begins.
fn stage(signal: u32, step: u32, thread: u32) {
  if (STAGED) {
    workgroupBarrier();
    // What lies past the clip is of steps that are not there.
    let count = min(SPAN, params.length - min(params.length, step * STRIDE));
    for (var i = thread; i < count; i += LANES) { samples[i] = f32(x[signal + step * STRIDE + i]); }
    workgroupBarrier();
  }
}

fn windowAt(signal: u32, step: u32) -> Window {
  var window: Window;
  for (var k = 0u; k < KERNEL; k++) { // unroll
    if (STAGED) {
      window[k] = samples[step % LANES * STRIDE + k];
    } else {
      window[k] = f32(x[signal + step * STRIDE + k]);
    }
  }
  return window;
}

fn convolved(taps: ptr<function, Taps>, window: ptr<function, Window>) -> vec4<f32> {
  var sum = vec4<f32>();
  for (var k = 0u; k < KERNEL; k++) { // unroll
    sum += (*taps)[k] * (*window)[k];
  }
  return sum;
}
