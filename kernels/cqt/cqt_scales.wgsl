// The power of two at or below the loudest sample of each segment, as bits: of silence 0, where a sample is infinite or NaN the
// bits of infinity. Two segments share a transform (cqt_pack.wgsl), and a quiet one would hear the rounding of a loud one.
struct Params {
  length: u32,
  reach: u32,
  samples: u32,
  segmentsPerClip: u32,
  segmentSamples: u32,
  xOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

const THREADS = 64u;
var<workgroup> loudest: array<u32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let segment = own.x + params.groupX;
  let clip = params.xOffset + segment / params.segmentsPerClip * params.samples;
  let start = segment % params.segmentsPerClip * params.segmentSamples;
  let first = start - min(start, params.reach);
  let end = min(params.samples, start + params.length - params.reach);
  // Magnitudes of floats are ordered as their bits are, with NaN above all.
  var most = 0u;
  for (var i = first + thread; i < end; i += THREADS) {
    most = max(most, bitcast<u32>(x[clip + i]) & 0x7fffffffu);
  }
  loudest[thread] = most;
  workgroupBarrier();
  if (thread > 0u) { return; }
  for (var i = 1u; i < THREADS; i++) { most = max(most, loudest[i]); }
  out[segment] = most & 0x7f800000u;
}
