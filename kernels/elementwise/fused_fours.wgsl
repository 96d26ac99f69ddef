// fused.wgsl, four neighbours a thread that are read and stored at once: the size is a multiple of four. The compiler writes
// `load`, which keeps what is read from i on where it is read as it is stored, `made` of the neighbour i, number e of its four,
// and `store`, of all four.
struct Params {
  size: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = (id.x + id.y * groups.x * 64u) * 4u;
  if (i >= params.size) { return; }
  prepare(i);
  load(i);
  store(i, made(i, 0u), made(i + 1u, 1u), made(i + 2u, 2u), made(i + 3u, 3u));
}
