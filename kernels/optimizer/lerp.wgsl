// Moves running averages towards new values, in place: average[i] += weight * (value[i] - average[i]). The weight comes
// from memory, so that a replayed step sees one of its own.
struct Params {
  size: u32,
  averageOffset: u32,
  valueOffset: u32,
  weightOffset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> value: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> average: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.size) { return; }
  let old = average[params.averageOffset + i];
  average[params.averageOffset + i] = old + weight[params.weightOffset] * (value[params.valueOffset + i] - old);
}
