// row_reduce.wgsl for a row a workgroup, by subgroups of any size: each joins its own threads' values by rowSubgroup(), the
// first thread of each leaves the result in workgroup memory, and every thread joins those in the same order. A subgroup
// is a run of at least four neighbouring threads, as everywhere for workgroups of one axis.
// In front: LANES, a power of two; alias RowValue; fn rowCombine; fn rowSubgroup(value: RowValue) -> RowValue.
var<workgroup> rowValues: array<RowValue, LANES / 2u>;
var<private> rowTurn: u32 = 0u;

fn rowReduce(thread: u32, value: RowValue) -> RowValue {
  let joined = rowSubgroup(value);
  let size = subgroupAdd(1u);
  let first = rowTurn * (LANES / 4u);
  rowTurn = 1u - rowTurn;
  if (thread == subgroupMin(thread)) { rowValues[first + thread / size] = joined; }
  workgroupBarrier();
  var all = rowValues[first];
  for (var k = 1u; k < LANES / size; k++) { all = rowCombine(all, rowValues[first + k]); }
  return all;
}
