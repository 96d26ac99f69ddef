// A later pass of a merge sort: neighbouring runs of `width` sorted keys become runs of twice that. Each thread makes ITEMS
// neighbours of the result: a binary search finds how many of the elements before them come from either run (the merge
// path of Odeh et al.), then it merges. Equal keys are taken from the left run first, so the sort is stable.
// In front: ITEMS, which divides width, and LAST: indices are written as [outer, length, inner].
struct Params {
  rows: u32,
  length: u32,
  inner: u32,
  width: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read> indices: array<i32>;
@group(0) @binding(3) var<storage, read_write> outKeys: array<u32>;
@group(0) @binding(4) var<storage, read_write> outIndices: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  let parts = (params.length + ITEMS - 1u) / ITEMS;
  if (i >= params.rows * parts) { return; }
  let row = i / parts;
  let first = (i % parts) * ITEMS;
  let dense = row * params.length;
  let base = row / params.inner * params.length * params.inner + row % params.inner;
  let runStart = first / (2u * params.width) * 2u * params.width;
  let leftCount = min(params.width, params.length - runStart);
  let rightCount = min(params.width, params.length - runStart - leftCount);
  let left = dense + runStart;
  let right = left + leftCount;
  let before = first - runStart;
  var low = before - min(before, rightCount);
  var high = min(before, leftCount);
  while (low < high) {
    let middle = (low + high) / 2u;
    if (keys[left + middle] <= keys[right + before - 1u - middle]) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  var l = low;
  var r = before - low;
  let end = min(first + ITEMS, params.length);
  for (var n = first; n < end; n++) {
    var fromLeft = r >= rightCount;
    if (l < leftCount && r < rightCount) { fromLeft = keys[left + l] <= keys[right + r]; }
    let at = select(right + r, left + l, fromLeft);
    l += select(0u, 1u, fromLeft);
    r += select(1u, 0u, fromLeft);
    outKeys[dense + n] = keys[at];
    outIndices[select(dense + n, base + n * params.inner, LAST)] = indices[at];
  }
}
