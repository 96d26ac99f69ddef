// The constant-Q coefficients of a pair of segments in one bin, all frames at once: multiplies the spectra by the bin's
// band, folds the product to POINTS frequencies (which decimates time to one value a frame), and transforms it back.
// A workgroup of POINTS / 8 threads does one bin of one pair; a thread holds 8 values of both segments in registers,
// POINTS / 8 apart, and passes of radix 8 swap them through workgroup memory.
// spectra: see cqt_spectrum; lowest is a multiple of POINTS. bands are real: a filter of even length is symmetric in
// time, one of odd length is so about half a sample before the centre.
// bins[k] = (band's first frequency - lowest, a multiple of POINTS; how many times POINTS it is wide; where its values
// start; 1 for an odd filter);
// phases[k] = exp(j w / 2), w the bin's angular frequency a sample, turns an odd filter's coefficients back.
// roots[i] = exp(j 2 pi i / POINTS).
// In front: POINTS (a power of 2, 64 to 1024); OUTPUT: MAGNITUDE, or COMPLEX or PHASE, which hold (re, im) and
// (cos, sin) of its angle a frame, (1, 0) for zero.
// Source: Brown and Puckette, "An efficient algorithm for the calculation of a constant Q transform" (1992).
struct Params {
  width: u32,
  bins: u32,
  frames: u32,
  segments: u32,
  segmentsPerClip: u32,
  segmentFrames: u32,
  firstPair: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> spectra: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bands: array<f32>;
@group(0) @binding(3) var<storage, read> bins: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> phases: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

const THREADS = POINTS / 8u;

alias Value = vec4<f32>;

const MAGNITUDE = 0u;
const COMPLEX = 1u;
const PHASE = 2u;

var<workgroup> shared_values: array<Value, POINTS>;

fn turn(a: Value) -> Value {
  return vec4<f32>(-a.y, a.x, -a.w, a.z);
}

fn rotate(a: Value, root: vec2<f32>) -> Value {
  return a * root.x + turn(a) * root.y;
}

// Frame t of a segment, for both segments of the pair.
fn store(group: vec3<u32>, t: u32, a: Value) {
  if (t >= params.segmentFrames) { return; }
  var value = a;
  if (OUTPUT != MAGNITUDE && bins[group.x].w == 1u) { value = rotate(a, phases[group.x]); }
  let segment = 2u * (params.firstPair + group.y);
  storeOne(segment, group.x, t, value.xy);
  storeOne(segment + 1u, group.x, t, value.zw);
}

fn storeOne(segment: u32, bin: u32, t: u32, value: vec2<f32>) {
  let frame = (segment % params.segmentsPerClip) * params.segmentFrames + t;
  if (segment >= params.segments || frame >= params.frames) { return; }
  let at = ((segment / params.segmentsPerClip) * params.bins + bin) * params.frames + frame;
  if (OUTPUT == MAGNITUDE) {
    out[at] = length(value);
    return;
  }
  var pair = value;
  if (OUTPUT == PHASE) {
    // Scaled first, so that small squares do not vanish.
    let largest = max(abs(value.x), abs(value.y));
    pair = select(normalize(value / largest), vec2<f32>(1.0, 0.0), largest == 0.0);
  }
  out[2u * at] = pair.x;
  out[2u * at + 1u] = pair.y;
}

// The twiddle factors of a pass of radix 8. Registers are spelled out here and below, because arrays indexed in a loop
// live in memory.
fn twiddle(v: Octet, step: u32) -> Octet {
  return Octet(
    v[0],
    rotate(v[1], roots[step]),
    rotate(v[2], roots[2u * step]),
    rotate(v[3], roots[3u * step]),
    rotate(v[4], roots[4u * step]),
    rotate(v[5], roots[5u * step]),
    rotate(v[6], roots[6u * step]),
    rotate(v[7], roots[7u * step]),
  );
}

// Writes a pass's results where they belong, and reads the next pass's inputs.
fn exchange(v: Octet, lane: u32, span: u32) -> Octet {
  let at = lane / span * span * 8u + lane % span;
  workgroupBarrier();
  shared_values[at + 0u * span] = v[0];
  shared_values[at + 1u * span] = v[1];
  shared_values[at + 2u * span] = v[2];
  shared_values[at + 3u * span] = v[3];
  shared_values[at + 4u * span] = v[4];
  shared_values[at + 5u * span] = v[5];
  shared_values[at + 6u * span] = v[6];
  shared_values[at + 7u * span] = v[7];
  workgroupBarrier();
  return Octet(
    shared_values[lane + 0u * THREADS],
    shared_values[lane + 1u * THREADS],
    shared_values[lane + 2u * THREADS],
    shared_values[lane + 3u * THREADS],
    shared_values[lane + 4u * THREADS],
    shared_values[lane + 5u * THREADS],
    shared_values[lane + 6u * THREADS],
    shared_values[lane + 7u * THREADS],
  );
}

// The last pass where a factor of 2 is left: between values that a thread holds already.
fn transform2(v: Octet, lane: u32) -> Octet {
  let b0 = rotate(v[4], roots[lane]);
  let b1 = rotate(v[5], roots[lane + THREADS]);
  let b2 = rotate(v[6], roots[lane + 2u * THREADS]);
  let b3 = rotate(v[7], roots[lane + 3u * THREADS]);
  return Octet(v[0] + b0, v[1] + b1, v[2] + b2, v[3] + b3, v[0] - b0, v[1] - b1, v[2] - b2, v[3] - b3);
}

struct Quartet {
  a: Value,
  b: Value,
  c: Value,
  d: Value,
}

fn transform4(a: Value, b: Value, c: Value, d: Value, step: u32) -> Quartet {
  let p = rotate(b, roots[step]);
  let q = rotate(c, roots[2u * step]);
  let r = rotate(d, roots[3u * step]);
  let odd = turn(p - r);
  return Quartet(a + q + (p + r), a - q + odd, a + q - (p + r), a - q - odd);
}

// The last pass where a factor of 4 is left.
fn transform4x2(v: Octet, lane: u32) -> Octet {
  let x = transform4(v[0], v[2], v[4], v[6], lane);
  let y = transform4(v[1], v[3], v[5], v[7], lane + THREADS);
  return Octet(x.a, y.a, x.b, y.b, x.c, y.c, x.d, y.d);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let bin = bins[group.x];
  let row = (2u * group.y + bin.w) * params.width;
  var a0 = Value();
  var a1 = Value();
  var a2 = Value();
  var a3 = Value();
  var a4 = Value();
  var a5 = Value();
  var a6 = Value();
  var a7 = Value();
  for (var fold = 0u; fold < bin.y; fold++) {
    let p = bin.z + fold * POINTS + lane;
    let q = row + bin.x + fold * POINTS + lane;
    a0 += bands[p + 0u * THREADS] * spectra[q + 0u * THREADS];
    a1 += bands[p + 1u * THREADS] * spectra[q + 1u * THREADS];
    a2 += bands[p + 2u * THREADS] * spectra[q + 2u * THREADS];
    a3 += bands[p + 3u * THREADS] * spectra[q + 3u * THREADS];
    a4 += bands[p + 4u * THREADS] * spectra[q + 4u * THREADS];
    a5 += bands[p + 5u * THREADS] * spectra[q + 5u * THREADS];
    a6 += bands[p + 6u * THREADS] * spectra[q + 6u * THREADS];
    a7 += bands[p + 7u * THREADS] * spectra[q + 7u * THREADS];
  }
  var v = Octet(a0, a1, a2, a3, a4, a5, a6, a7);
  v = exchange(transform8(v), lane, 1u);
  var span = 8u;
  while (span * 8u < POINTS) {
    v = exchange(transform8(twiddle(v, (lane % span) * (THREADS / span))), lane, span);
    span *= 8u;
  }
  if (POINTS / span == 2u) { v = transform2(v, lane); }
  else if (POINTS / span == 4u) { v = transform4x2(v, lane); }
  else { v = transform8(twiddle(v, lane)); }
  store(group, lane + 0u * THREADS, v[0]);
  store(group, lane + 1u * THREADS, v[1]);
  store(group, lane + 2u * THREADS, v[2]);
  store(group, lane + 3u * THREADS, v[3]);
  store(group, lane + 4u * THREADS, v[4]);
  store(group, lane + 5u * THREADS, v[5]);
  store(group, lane + 6u * THREADS, v[6]);
  store(group, lane + 7u * THREADS, v[7]);
}
