// Joins what the LANES threads of a row hold, of ROWS rows a workgroup, by rowCombine(). Every thread of the row gets the
// same bits: the order is fixed. Up to 16 values are read by every thread after one barrier; more are joined in two steps.
// Calls take turns with two halves of the memory, so that none waits until the one before has been read.
// In front: LANES, a power of two; ROWS; alias RowValue; fn rowCombine(a: RowValue, b: RowValue) -> RowValue.
const ROW_SHARES = select(LANES, select(8u, 16u, LANES > 128u), LANES > 16u);
var<workgroup> rowValues: array<RowValue, 2u * LANES * ROWS>;
var<private> rowTurn: u32 = 0u;

// `thread` is the local invocation index: lane + LANES * row.
fn rowReduce(thread: u32, value: RowValue) -> RowValue {
  let lane = thread % LANES;
  let first = rowTurn * LANES * ROWS + thread - lane;
  rowTurn = 1u - rowTurn;
  rowValues[first + lane] = value;
  workgroupBarrier();
  if (LANES > ROW_SHARES) {
    if (lane < ROW_SHARES) {
      var share = rowValues[first + lane];
      for (var k = lane + ROW_SHARES; k < LANES; k += ROW_SHARES) { share = rowCombine(share, rowValues[first + k]); }
      rowValues[first + lane] = share;
    }
    workgroupBarrier();
  }
  var all = rowValues[first];
  for (var k = 1u; k < ROW_SHARES; k++) { all = rowCombine(all, rowValues[first + k]); }
  return all;
}
