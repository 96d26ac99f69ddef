// out[outOffset + i] = the elements of up to seven tensors, one after another: a concatenation along the first axis (gradients into an
// arena, weights of several layers) by one dispatch for seven, since most of such tensors are too small for one of their own.
// In front: Element; PARTS, how many tensors there are room for; BLOCK, elements of a workgroup, a multiple of 64.
struct Params {
  outOffset: u32,
  // Elements of each tensor, none of those that are not there, and where they begin.
  sizes: array<vec4<u32>, 2>,
  inOffsets: array<vec4<u32>, 2>,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> part0: array<Element>;
@group(0) @binding(2) var<storage, read> part1: array<Element>;
@group(0) @binding(3) var<storage, read> part2: array<Element>;
@group(0) @binding(4) var<storage, read> part3: array<Element>;
@group(0) @binding(5) var<storage, read> part4: array<Element>;
@group(0) @binding(6) var<storage, read> part5: array<Element>;
@group(0) @binding(7) var<storage, read> part6: array<Element>;
@group(0) @binding(8) var<storage, read_write> out: array<Element>;

// Of a thread, a workgroup's width apart: it reads all of them before it stores one.
const TURNS = BLOCK / 64u;

fn blocksOf(part: u32) -> u32 { return (params.sizes[part / 4u][part % 4u] + BLOCK - 1u) / BLOCK; }

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  // A workgroup's elements are of one tensor, so that its threads take one branch.
  var block = group.x + group.y * groups.x;
  var to = params.outOffset;
  var part = 0u;
  for (; part < PARTS; part++) {
    let blocks = blocksOf(part);
    if (block < blocks) { break; }
    block -= blocks;
    to += params.sizes[part / 4u][part % 4u];
  }
  if (part == PARTS) { return; }
  let size = params.sizes[part / 4u][part % 4u];
  let source = params.inOffsets[part / 4u][part % 4u];
  let first = block * BLOCK + lane;
  var all: array<Element, TURNS>;
  for (var turn = 0u; turn < TURNS; turn++) { // unroll
    let at = source + min(first + 64u * turn, size - 1u);
    switch part {
      case 0u: { all[turn] = part0[at]; }
      case 1u: { all[turn] = part1[at]; }
      case 2u: { all[turn] = part2[at]; }
      case 3u: { all[turn] = part3[at]; }
      case 4u: { all[turn] = part4[at]; }
      case 5u: { all[turn] = part5[at]; }
      default: { all[turn] = part6[at]; }
    }
  }
  for (var turn = 0u; turn < TURNS; turn++) { // unroll
    if (first + 64u * turn < size) { out[to + first + 64u * turn] = all[turn]; }
  }
}
