// One side of a product of matrices: where it begins, how far apart its rows (of b its columns) and their terms are, and how many rows
// there are. What is past the last is read as that one.
struct Side {
  base: u32,
  step: u32,
  term: u32,
  count: u32,
}
