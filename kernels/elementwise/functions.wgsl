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
  return unlessNan(x, sign(x) * (1.0 - erfcPositive(min(m, 9.5))));
}

fn erfc(x: f32) -> f32 {
  let m = abs(x);
  if (m <= 1.0) { return 1.0 - erfSmall(x); }
  let tail = erfcPositive(min(m, 13.0));
  return unlessNan(x, select(tail, 2.0 - tail, x < 0.0));
}

// exp(-x^2) and erfc(x) for x from 0 to 13, without branches, which GPUs would walk both ways: log(erfc(x) exp(x^2) / t) as a
// polynomial in t = 1 / (1 + x / 2), after Hastings; ours is of degree 9, fitted at Chebyshev's points to 5e-8.
fn gaussAndTail(x: f32) -> vec2<f32> {
  let t = 1.0 / (1.0 + 0.5 * x);
  let p = ((((((((0.14144113 * t - 0.6617397) * t + 1.11159449) * t - 0.6358495) * t - 0.13053308) * t + 0.02813827) * t
    + 0.02539905) * t + 0.38858118) * t + 0.99840488) * t - 1.26543667;
  // In two factors, so that rounding x^2 costs no accuracy where x is large.
  let head = floor(x * 64.0) / 64.0;
  let gauss = exp(-head * head) * exp(-(x - head) * (x + head));
  return vec2<f32>(gauss, t * exp(p) * gauss);
}

// Phi(x), so that the negative tail keeps its relative accuracy, and exp(-x^2 / 2).
fn normal(x: f32) -> vec2<f32> {
  let own = gaussAndTail(min(abs(x) * 0.70710678118654752, 13.0));
  return vec2<f32>(0.5 * select(own.y, 2.0 - own.y, x > 0.0), own.x);
}

fn gelu(x: f32) -> f32 {
  return unlessNan(x, x * normal(x).x);
}

fn geluDerivative(x: f32) -> f32 {
  let own = normal(x);
  return unlessNan(x, own.x + x * 0.3989422804014327 * own.y);
}

// Some drivers' tanh overflows to NaN for large arguments and is inexact near zero.
fn tanhExact(x: f32) -> f32 {
  let m = abs(x);
  if (m < 0.1) {
    let y = x * x;
    return x * (1.0 + y * (-0.33333333333 + y * (0.13333333333 + y * (-0.053968253968 + y * 0.021869488536))));
  }
  let e = exp(-2.0 * min(m, 20.0));
  return unlessNan(x, sign(x) * (1.0 - e) / (1.0 + e));
}

fn sigmoid(x: f32) -> f32 {
  let e = exp(-abs(x));
  return unlessNan(x, select(1.0, e, x < 0.0) / (1.0 + e));
}

fn elu(x: f32) -> f32 {
  if (x > 0.0) { return x; }
  return expm1(x);
}

// pow of any sign: WGSL's is undefined for negative bases, also where the exponent is a whole number.
fn power(x: f32, y: f32) -> f32 {
  // As C, NumPy and PyTorch have it, whatever the other is.
  if (y == 0.0 || x == 1.0) { return 1.0; }
  if (isNan(x) || isNan(y)) { return unlessNan(x, y); }
  if (x == 0.0) {
    // 1/0 as data: a constant division by zero does not compile.
    if (y < 0.0) { return 1.0 / x; }
    return 0.0;
  }
  let magnitude = pow(abs(x), y);
  if (x > 0.0) { return magnitude; }
  if (floor(y) != y) { return someNan(x); }
  return select(magnitude, -magnitude, (i32(abs(y)) & 1) == 1);
}

// log(1 + exp(x)).
fn softplus(x: f32) -> f32 {
  return unlessNan(x, max(x, 0.0) + log1p(exp(-abs(x))));
}
