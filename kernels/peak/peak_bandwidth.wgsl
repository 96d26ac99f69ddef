// out = source, 16 vectors a thread: how fast memory can be read and written. Neighbouring threads touch neighbouring
// vectors.
struct Params {
  size: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * 1024u + lane;
  for (var j = 0u; j < 16u; j++) {
    let i = first + j * 64u;
    if (i < params.size) { out[i] = source[i]; }
  }
}
