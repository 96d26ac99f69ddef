// Sums that a thread keeps in registers, four neighbours a vector. Loops over them are written out, because arrays that are
// indexed by a loop leave the registers.
// Behind, the kernel says how many vectors there are, FOURS, and which is which.
alias Sums = array<vec4<f32>, FOURS>;

// Vector i, where i is a loop's: what becomes of sums then stands in the code once. Written out for each of them, a joined
// epilogue took most of the time that a product compiled.
fn foursAt(sums: ptr<function, Sums>, i: u32) -> vec4<f32> {
  var fours = (*sums)[0];
  for (var other = 1u; other < FOURS; other++) { // unroll
    fours = select(fours, (*sums)[other], i == other);
  }
  return fours;
}
