// out = sum over splits of partial[splits, size], in the order of the splits; four neighbours a thread.
// In front: OutElement, the type in memory.
struct Params {
  size: u32,
  splits: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<OutElement>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = 4u * ((group.y * groups.x + group.x) * 64u + lane);
  if (first >= params.size) { return; }
  prepare(first);
  for (var i = first; i < min(first + 4u, params.size); i++) {
    var sum = 0.0;
    for (var split = 0u; split < params.splits; split++) { sum += partial[split * params.size + i]; }
    emit(i, sum);
  }
}
