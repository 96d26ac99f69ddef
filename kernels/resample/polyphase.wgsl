// out[row, m] = sum over j of weights[j, p] x[row, k period + starts[p / 4] + j] for m = k phases + p: a polyphase filter bank.
// Phases go in fours that share a start, so that a sample is read once for all of them; `phases` is a multiple of 4.
// Samples outside a row are zero; rows are dense.
// A thread makes one four of phases in BLOCKS blocks, `step` fours apart (whole blocks), so that weights are read once for all
// of them; neighbouring threads make neighbouring outputs, of neighbouring weights and samples.
// weights[j, p / 4] holds the four of a tap.
// Source: Crochiere and Rabiner, "Multirate Digital Signal Processing" (1983), 3.3.
struct Params {
  samples: u32,
  length: u32,
  period: u32,
  // Fours of phases.
  fours: u32,
  taps: u32,
  // Fours between those of a thread, and what their samples are apart.
  step: u32,
  stride: u32,
  xOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> starts: array<i32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const THREADS = 64u;
const BLOCKS = 4u;

// Positions before the row wrap around to huge numbers, which the bounds test refuses.
fn load(base: u32, position: u32) -> f32 {
  return select(0.0, x[base + min(position, params.samples - 1u)], position < params.samples);
}

fn store(row: u32, m: u32, values: vec4<f32>) {
  let rest = params.length - min(m, params.length);
  let at = row * params.length + m;
  if (rest > 0u) { out[at] = values.x; }
  if (rest > 1u) { out[at + 1u] = values.y; }
  if (rest > 2u) { out[at + 2u] = values.z; }
  if (rest > 3u) { out[at + 3u] = values.w; }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let place = group.x * THREADS + lane;
  let four = group.y * params.step * BLOCKS + place;
  if (place >= params.step || 4u * four >= params.length) { return; }
  let phase = four % params.fours;
  let first = i32(four / params.fours * params.period) + starts[phase];
  let base = params.xOffset + group.z * params.samples;
  let stride = params.stride;
  var a0 = vec4<f32>();
  var a1 = vec4<f32>();
  var a2 = vec4<f32>();
  var a3 = vec4<f32>();
  var at = u32(first);
  var tap = phase;
  if (first >= 0 && first + i32((BLOCKS - 1u) * stride + params.taps) <= i32(params.samples)) {
    at += base;
    for (var j = 0u; j < params.taps; j++) {
      let weight = weights[tap];
      a0 += weight * x[at];
      a1 += weight * x[at + stride];
      a2 += weight * x[at + 2u * stride];
      a3 += weight * x[at + 3u * stride];
      at++;
      tap += params.fours;
    }
  } else {
    for (var j = 0u; j < params.taps; j++) {
      let weight = weights[tap];
      a0 += weight * load(base, at);
      a1 += weight * load(base, at + stride);
      a2 += weight * load(base, at + 2u * stride);
      a3 += weight * load(base, at + 3u * stride);
      at++;
      tap += params.fours;
    }
  }
  let m = 4u * four;
  let apart = 4u * params.step;
  store(group.z, m, a0);
  store(group.z, m + apart, a1);
  store(group.z, m + 2u * apart, a2);
  store(group.z, m + 3u * apart, a3);
}
