// out[i, j, f] = scale * sum over r of a[r, i, f] b[r, j, f], or of its conjugate, in groups: what a convolution of step one
// is between the spectra of its signals and its taps. a is the signal's, of which i counts the clips (in the gradient of the
// weight the input channels), b that of taps or, in the gradient of the weight, of the output's gradient; spectra lie
// densely, the strides of all else are in pairs of frequencies.
//
// A thread makes ROWS of i x COLUMNS of j at two neighbouring frequencies.
// In front: ROWS, COLUMNS, CONJUGATE (b's conjugate).
struct Params {
  terms: u32,
  rows: u32,
  columns: u32,
  pairs: u32,
  aTerm: u32,
  aRow: u32,
  aGroup: u32,
  bTerm: u32,
  bColumn: u32,
  bGroup: u32,
  outRow: u32,
  outColumn: u32,
  outGroup: u32,
  scale: f32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
// re and im of one frequency, then of the next.
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

fn times(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
  let turned = vec4<f32>(-x.y, x.x, -x.w, x.z);
  if (CONJUGATE) { return x * y.xxzz - turned * y.yyww; }
  return x * y.xxzz + turned * y.yyww;
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) start: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let place = start + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let f = place.x * 32u + local.x;
  let blocks = (params.rows + ROWS - 1u) / ROWS;
  let row = place.y % blocks * ROWS;
  let column = place.y / blocks * COLUMNS;
  if (f >= params.pairs) { return; }
  // Rows and columns past the last are the last again, and are not stored.
  var aAt: array<u32, ROWS>;
  for (var i = 0u; i < ROWS; i++) { // unroll
    aAt[i] = place.z * params.aGroup + min(row + i, params.rows - 1u) * params.aRow + f;
  }
  var bAt: array<u32, COLUMNS>;
  for (var j = 0u; j < COLUMNS; j++) { // unroll
    bAt[j] = place.z * params.bGroup + min(column + j, params.columns - 1u) * params.bColumn + f;
  }
  var sums: array<vec4<f32>, ROWS * COLUMNS>;
  for (var r = 0u; r < params.terms; r++) {
    var x: array<vec4<f32>, ROWS>;
    for (var i = 0u; i < ROWS; i++) { // unroll
      x[i] = a[aAt[i] + r * params.aTerm];
    }
    for (var j = 0u; j < COLUMNS; j++) { // unroll
      let y = b[bAt[j] + r * params.bTerm];
      for (var i = 0u; i < ROWS; i++) { // unroll
        sums[i * COLUMNS + j] += times(x[i], y);
      }
    }
  }
  for (var i = 0u; i < ROWS; i++) { // unroll
    for (var j = 0u; j < COLUMNS; j++) { // unroll
      if (row + i < params.rows && column + j < params.columns) {
        out[place.z * params.outGroup + (row + i) * params.outRow + (column + j) * params.outColumn + f] =
          sums[i * COLUMNS + j] * params.scale;
      }
    }
  }
}
