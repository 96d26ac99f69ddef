// Lays two segments of clips into one complex row each pair: out[pair, n] = (segment 2 pair, segment 2 pair + 1) at n.
// A segment starts at sample 0 of its first frame; the last `reach` places of a row hold the samples before it, as a
// circular convolution wants them. Samples outside the clip, and segments past the last, are zero; the others are divided by
// their segment's scale (cqt_scales.wgsl), and zero where that is none or not finite.
struct Params {
  length: u32,
  reach: u32,
  samples: u32,
  segments: u32,
  segmentsPerClip: u32,
  segmentSamples: u32,
  firstPair: u32,
  xOffset: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;

// Positions before the clip wrap around to huge numbers, which the bounds test refuses.
fn load(segment: u32, position: u32) -> f32 {
  if (segment >= params.segments) { return 0.0; }
  let clip = segment / params.segmentsPerClip;
  let sample = (segment % params.segmentsPerClip) * params.segmentSamples + position;
  if (sample >= params.samples) { return 0.0; }
  let scale = scales[segment];
  if (scale == 0u || scale == 0x7f800000u) { return 0.0; }
  return x[params.xOffset + clip * params.samples + sample] / bitcast<f32>(scale);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) global: vec3<u32>) {
  let id = global + vec3<u32>(params.groupX, params.groupY, params.groupZ) * vec3<u32>(64u, 1u, 1u);
  let n = id.x;
  if (n >= params.length) { return; }
  let position = select(n, n - params.length, n >= params.length - params.reach);
  let segment = 2u * (params.firstPair + id.y);
  out[id.y * params.length + n] = vec2<f32>(load(segment, position), load(segment + 1u, position));
}
