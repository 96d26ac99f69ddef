// Shared by the kernels of Fourier transforms; they put it in front of their own text and define
//   alias Value: one complex number as vec2<f32>(re, im), or two side by side as vec4<f32>
//   fn turn(a: Value) -> Value: multiplies by i for an inverse transform, by -i for a forward one.
alias Octet = array<Value, 8>;

const SQRT_HALF = 0.70710678118654752;

// The transform of 8 values, in natural order.
fn transform8(v: Octet) -> Octet {
  let a0 = v[0] + v[4];
  let a1 = v[0] - v[4];
  let a2 = v[2] + v[6];
  let a3 = turn(v[2] - v[6]);
  let b0 = v[1] + v[5];
  let b1 = v[1] - v[5];
  let b2 = v[3] + v[7];
  let b3 = turn(v[3] - v[7]);
  let e0 = a0 + a2;
  let e1 = a1 + a3;
  let e2 = a0 - a2;
  let e3 = a1 - a3;
  let o0 = b0 + b2;
  let o1 = b1 + b3;
  let o3 = b1 - b3;
  let p1 = (o1 + turn(o1)) * SQRT_HALF;
  let p2 = turn(b0 - b2);
  let p3 = (turn(o3) - o3) * SQRT_HALF;
  return Octet(e0 + o0, e1 + p1, e2 + p2, e3 + p3, e0 - o0, e1 - p1, e2 - p2, e3 - p3);
}
