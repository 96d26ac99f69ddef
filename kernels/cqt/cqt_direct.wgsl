// out[clip, bin, t] = scale * sum over i of x[clip, t hop + first + i] conj(taps[offset + i]), i = 0 .. length - 1: the
// constant-Q transform by its definition, each filter over its own support only. Samples outside the clip are zero.
// A workgroup makes 8 frames of one bin: its lanes share the taps among them, so that neighbouring lanes read
// neighbouring taps and samples, and add up in a fixed order at the end.
// bins[k] = (offset, length, bits of the i32 first, bits of the f32 scale); taps are (re, im).
// In front: COMPLEX (out holds (re, im) a frame, else the magnitude).
// Source: Brown, "Calculation of a constant Q spectral transform" (1991); nnAudio's CQT1992v2.
struct Params {
  samples: u32,
  frames: u32,
  bins: u32,
  hop: u32,
  xOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> taps: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> bins: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const LANES = 64u;
const FRAMES = 8u;

var<workgroup> sums: array<array<vec2<f32>, LANES>, FRAMES>;
var<workgroup> parts: array<array<vec2<f32>, FRAMES>, FRAMES>;

// Positions before the clip wrap around to huge numbers, which the bounds test refuses.
fn load(base: u32, position: u32) -> f32 {
  return select(0.0, x[base + min(position, params.samples - 1u)], position < params.samples);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let group = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let bin = bins[group.y];
  let clip = group.z;
  let t = group.x * FRAMES;
  let hop = params.hop;
  let base = params.xOffset + clip * params.samples;
  let start = i32(t * hop) + bitcast<i32>(bin.z);
  // The taps that meet the clip in the last and in the first frame of the tile.
  let low = max(0, -(start + i32((FRAMES - 1u) * hop)));
  let high = clamp(i32(params.samples) - start, 0, i32(bin.y));
  var a0 = vec2<f32>();
  var a1 = vec2<f32>();
  var a2 = vec2<f32>();
  var a3 = vec2<f32>();
  var a4 = vec2<f32>();
  var a5 = vec2<f32>();
  var a6 = vec2<f32>();
  var a7 = vec2<f32>();
  for (var i = low + i32(lane); i < high; i += i32(LANES)) {
    let tap = taps[bin.x + u32(i)];
    let p = u32(start + i);
    a0 += tap * load(base, p);
    a1 += tap * load(base, p + hop);
    a2 += tap * load(base, p + 2u * hop);
    a3 += tap * load(base, p + 3u * hop);
    a4 += tap * load(base, p + 4u * hop);
    a5 += tap * load(base, p + 5u * hop);
    a6 += tap * load(base, p + 6u * hop);
    a7 += tap * load(base, p + 7u * hop);
  }
  sums[0][lane] = a0;
  sums[1][lane] = a1;
  sums[2][lane] = a2;
  sums[3][lane] = a3;
  sums[4][lane] = a4;
  sums[5][lane] = a5;
  sums[6][lane] = a6;
  sums[7][lane] = a7;
  workgroupBarrier();
  let frame = lane % FRAMES;
  let part = lane / FRAMES;
  var sum = vec2<f32>();
  for (var i = 0u; i < FRAMES; i++) { sum += sums[frame][part * FRAMES + i]; }
  parts[part][frame] = sum;
  workgroupBarrier();
  if (lane >= FRAMES || t + lane >= params.frames) { return; }
  sum = vec2<f32>();
  for (var i = 0u; i < FRAMES; i++) { sum += parts[i][lane]; }
  sum *= bitcast<f32>(bin.w);
  let at = (clip * params.bins + group.y) * params.frames + t + lane;
  if (COMPLEX) {
    out[2u * at] = sum.x;
    out[2u * at + 1u] = -sum.y;
  } else {
    out[at] = length(sum);
  }
}
