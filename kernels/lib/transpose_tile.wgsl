// A tile that is read along one axis and stored along the other by SIDE x LINES threads, neighbours in memory by neighbouring ones.
// Behind, the kernel says what it holds: TileElement.
const SIDE = 32u;
const LINES = 8u;
// One more than a side, so that a column's elements lie in different banks.
const PITCH = SIDE + 1u;
var<workgroup> tile: array<TileElement, SIDE * PITCH>;
