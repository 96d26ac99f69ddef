// The heart of products on adapters that run shaders on the CPU and lack subgroups, and of small ones elsewhere: a thread
// makes 8 x 8 sums in registers and reads straight from memory. Workgroup barriers are costly on a CPU, so this beats
// tiling there; 8 x 8 is twice as fast as 4 x 4.
// In front: register_sums.wgsl and product_side.wgsl. Behind, the kernel says what is multiplied:
//   fn aAt(at: u32) -> f32
//   fn bAt(at: u32) -> f32

// Columns 0 to 3 of row r are vector 2 r, columns 4 to 7 the one behind.
const FOURS = 16u;

fn placesOf(side: Side, first: u32) -> vec4<u32> {
  return side.base + min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(side.count - 1u)) * side.step;
}

// The products of eight rows of a and eight columns of b, `row` and `column` the first ones, over `terms`.
fn multiply(sums: ptr<function, Sums>, row: u32, column: u32, a: Side, b: Side, terms: u32) {
  var top = placesOf(a, row);
  var bottom = placesOf(a, row + 4u);
  var left = placesOf(b, column);
  var right = placesOf(b, column + 4u);
  for (var k = 0u; k < terms; k++) {
    let l = vec4<f32>(bAt(left.x), bAt(left.y), bAt(left.z), bAt(left.w));
    let r = vec4<f32>(bAt(right.x), bAt(right.y), bAt(right.z), bAt(right.w));
    let upper = vec4<f32>(aAt(top.x), aAt(top.y), aAt(top.z), aAt(top.w));
    let lower = vec4<f32>(aAt(bottom.x), aAt(bottom.y), aAt(bottom.z), aAt(bottom.w));
    for (var i = 0u; i < 4u; i++) { // unroll
      (*sums)[2u * i] += upper[i] * l;
      (*sums)[2u * i + 1u] += upper[i] * r;
      (*sums)[8u + 2u * i] += lower[i] * l;
      (*sums)[8u + 2u * i + 1u] += lower[i] * r;
    }
    top += a.term;
    bottom += a.term;
    left += b.term;
    right += b.term;
  }
}
