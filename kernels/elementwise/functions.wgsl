// Functions that WGSL lacks or leaves too inexact, shared by the elementwise operations.

// Polynomials of Cephes' ndtrf.c (Moshier): relative error about 2e-7.
fn erfcPositive(x: f32) -> f32 {
  let r = 1.0 / x;
  let y = r * r;
  var p: f32;
  if (x < 2.0) {
    p = ((((((((2.326819970068386e-2 * y - 1.387039388740657e-1) * y + 3.687424674597105e-1) * y
      - 5.824733027278666e-1) * y + 6.210004621745983e-1) * y - 4.944515323274145e-1) * y
      + 3.404879937665872e-1) * y - 2.741127028184656e-1) * y + 5.638259427472472e-1);
  } else {
    p = (((((((-1.047766399936249e1 * y + 1.297719955372516e1) * y - 7.495518717768503) * y
      + 2.921019019210786) * y - 1.015265279202700) * y + 4.218463358204948e-1) * y
      - 2.820767439740514e-1) * y + 5.641895067754075e-1);
  }
  // exp(-x^2) in two factors, so that rounding x^2 costs no accuracy where x is large.
  let head = floor(x * 64.0) / 64.0;
  return exp(-head * head) * exp(-(x - head) * (x + head)) * r * p;
}

fn erfSmall(x: f32) -> f32 {
  let y = x * x;
  return x * ((((((7.853861353153693e-5 * y - 8.010193625184903e-4) * y + 5.188327685732524e-3) * y
    - 2.685381193529856e-2) * y + 1.128358514861418e-1) * y - 3.761262582423300e-1) * y + 1.128379165726710);
}

fn erf(x: f32) -> f32 {
  let m = abs(x);
  if (m <= 1.0) { return erfSmall(x); }
  return sign(x) * (1.0 - erfcPositive(min(m, 9.5)));
}

fn erfc(x: f32) -> f32 {
  let m = abs(x);
  if (m <= 1.0) { return 1.0 - erfSmall(x); }
  let tail = erfcPositive(min(m, 13.0));
  return select(tail, 2.0 - tail, x < 0.0);
}

// x * Phi(x) by erfc, so that the negative tail keeps its relative accuracy.
fn gelu(x: f32) -> f32 {
  return 0.5 * x * erfc(-x * 0.70710678118654752);
}

fn geluDerivative(x: f32) -> f32 {
  return 0.5 * erfc(-x * 0.70710678118654752) + x * 0.3989422804014327 * exp(-0.5 * x * x);
}

// Some drivers' tanh overflows to NaN for large arguments and is inexact near zero.
fn tanhExact(x: f32) -> f32 {
  let m = abs(x);
  if (m < 0.1) {
    let y = x * x;
    return x * (1.0 + y * (-0.33333333333 + y * (0.13333333333 + y * (-0.053968253968 + y * 0.021869488536))));
  }
  let e = exp(-2.0 * min(m, 20.0));
  return sign(x) * (1.0 - e) / (1.0 + e);
}

fn sigmoid(x: f32) -> f32 {
  let e = exp(-abs(x));
  return select(1.0, e, x < 0.0) / (1.0 + e);
}

// exp(x) - 1 without cancellation near zero.
fn expm1(x: f32) -> f32 {
  if (abs(x) < 0.25) {
    return x * (1.0 + x * (0.5 + x * (0.16666666667 + x * (0.041666666667 + x * (0.0083333333333 + x * (0.0013888888889 + x * 0.0001984126984))))));
  }
  return exp(x) - 1.0;
}

fn elu(x: f32) -> f32 {
  if (x > 0.0) { return x; }
  return expm1(x);
}

// pow of any sign: WGSL's is undefined for negative bases, also where the exponent is a whole number.
fn power(x: f32, y: f32) -> f32 {
  if (y == 0.0) { return 1.0; }
  if (x == 0.0) {
    // 1/0 as data: a constant division by zero does not compile.
    if (y < 0.0) { return 1.0 / x; }
    return 0.0;
  }
  let magnitude = pow(abs(x), y);
  if (x > 0.0) { return magnitude; }
  if (floor(y) != y) { return bitcast<f32>(0x7fc00000u | (bitcast<u32>(x) & 1u)); }
  return select(magnitude, -magnitude, (i32(abs(y)) & 1) == 1);
}

fn isNan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn isFinite(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

// Sine and cosine to about 1e-7 for arguments up to some thousands: WGSL promises 2^-11 only, and some drivers give no
// more. Cody and Waite's reduction to [-pi/4, pi/4] in three parts, then Cephes' polynomials (sinf.c).
fn sineOfQuarter(x: f32, quarter: i32) -> f32 {
  let k = round(x * 0.63661977236758);
  let r = ((x - k * 1.5703125) - k * 4.837512969970703e-4) - k * 7.549789954891882e-8;
  let z = r * r;
  let s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
  let c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
  let turn = (i32(k) + quarter) & 3;
  let value = select(s, c, (turn & 1) == 1);
  return select(value, -value, turn > 1);
}

fn sine(x: f32) -> f32 { return sineOfQuarter(x, 0); }

fn cosine(x: f32) -> f32 { return sineOfQuarter(x, 1); }
