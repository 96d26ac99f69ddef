// Circular and hyperbolic functions and their inverses.

// Sine and cosine to about 1e-7: WGSL promises 2^-11 only, and some drivers give no more. The reduction to [-pi/4, pi/4] is
// Cody and Waite's in three parts up to some thousands, Payne and Hanek's beyond; then Cephes' polynomials (sinf.c).

// a b in 64 bits: the low word, the high one.
fn wholeProduct(a: u32, b: u32) -> vec2<u32> {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let one = (a & 0xffffu) * (b >> 16u);
  let other = (a >> 16u) * (b & 0xffffu);
  let middle = (low >> 16u) + (one & 0xffffu) + (other & 0xffffu);
  return vec2<u32>(
    (middle << 16u) | (low & 0xffffu),
    (a >> 16u) * (b >> 16u) + (one >> 16u) + (other >> 16u) + (middle >> 16u));
}

struct ReducedAngle { rest: f32, quarters: i32 }

// x from 1/2 to the largest number, as quarters of a turn and a rest: its 24 bits times those 96 bits of 2/pi that are
// worth less than four quarters and more than what matters (Payne and Hanek, "Radian reduction for trigonometric functions", 1983).
fn reduceLargeAngle(x: f32) -> ReducedAngle {
  // 2/pi from the bit worth two on, behind a word of nothing.
  var table = array<u32, 8>(
    0u, 0x28be60dbu, 0x9391054au, 0x7f09d5f4u, 0x7d4d3770u, 0x36d8a566u, 0x4f10e410u, 0x7f9458eau);
  let bits = bitcast<u32>(x);
  let mantissa = (bits << 8u) | 0x80000000u;
  let exponent = ((bits >> 23u) & 255u) - 126u;
  let at = exponent >> 5u;
  let shift = exponent & 31u;
  var words = vec3<u32>(table[at], table[at + 1u], table[at + 2u]);
  if (shift > 0u) {
    let next = vec3<u32>(words.yz, table[at + 3u]);
    words = (words << vec3<u32>(shift)) | (next >> vec3<u32>(32u - shift));
  }
  let carried = wholeProduct(mantissa, words.z).y;
  let middle = wholeProduct(mantissa, words.y);
  var low = middle.x + carried;
  var high = mantissa * words.x + middle.y + select(0u, 1u, low < carried);
  // Two bits of quarters, 62 of the rest, which goes to the nearest quarter.
  var quarters = i32(high >> 30u);
  high &= 0x3fffffffu;
  let above = high >= 0x20000000u;
  if (above) {
    quarters += 1;
    high = 0x40000000u - high - select(0u, 1u, low > 0u);
    low = 0u - low;
  }
  let rest = (f32(high) * 4294967296.0 + f32(low)) * 3.4061215800304e-19; // pi / 2 / 2^62
  let negative = x < 0.0;
  return ReducedAngle(select(rest, -rest, above != negative), select(quarters, -quarters, negative));
}

fn sineOfQuarter(x: f32, quarter: i32) -> f32 {
  let k = round(x * 0.63661977236758);
  var reduced = ReducedAngle(((x - k * 1.5703125) - k * 4.837512969970703e-4) - k * 7.549789954891882e-8, i32(k));
  let size = bitcast<u32>(x) & 0x7fffffffu;
  // 4096 up to, but not including, infinity.
  if (size >= 0x45800000u && size < 0x7f800000u) { reduced = reduceLargeAngle(x); }
  let r = reduced.rest;
  let z = r * r;
  let s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
  let c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
  let turn = (reduced.quarters + quarter) & 3;
  let value = select(s, c, (turn & 1) == 1);
  return select(value, -value, turn > 1);
}

fn sine(x: f32) -> f32 { return sineOfQuarter(x, 0); }

fn cosine(x: f32) -> f32 { return sineOfQuarter(x, 1); }

fn tangent(x: f32) -> f32 { return sine(x) / cosine(x); }

// Inverse circular and hyperbolic functions by Cephes' single-precision polynomials (asinf.c, atanf.c, sinhf.c, asinhf.c,
// acoshf.c, atanhf.c), a few units in the last place off; WGSL promises as little as 5e-4 for them.
fn arcSineSmall(x: f32) -> f32 {
  let z = x * x;
  return ((((4.2163199048e-2 * z + 2.4181311049e-2) * z + 4.5470025998e-2) * z + 7.4953002686e-2) * z
    + 1.6666752422e-1) * z * x + x;
}

fn arcSine(x: f32) -> f32 {
  let m = abs(x);
  if (m > 1.0) { return someNan(x); }
  if (m <= 0.5) { return unlessNan(x, arcSineSmall(x)); }
  return unlessNan(x, sign(x) * (1.5707963267948966 - 2.0 * arcSineSmall(sqrt(0.5 * (1.0 - m)))));
}

fn arcCosine(x: f32) -> f32 {
  let m = abs(x);
  if (m > 1.0) { return someNan(x); }
  if (m <= 0.5) { return unlessNan(x, 1.5707963267948966 - arcSineSmall(x)); }
  let small = 2.0 * arcSineSmall(sqrt(0.5 * (1.0 - m)));
  return unlessNan(x, select(small, 3.1415926535897932 - small, x < 0.0));
}

fn arcTangentPositive(x: f32) -> f32 {
  var start = 0.0;
  var a = x;
  if (x > 2.414213562373095) {
    start = 1.5707963267948966;
    a = -1.0 / min(x, 1e30);
  } else if (x > 0.4142135623730950) {
    start = 0.7853981633974483;
    a = (x - 1.0) / (x + 1.0);
  }
  let z = a * a;
  return start + ((((8.05374449538e-2 * z - 1.38776856032e-1) * z + 1.99777106478e-1) * z - 3.33329491539e-1) * z * a + a);
}

fn arcTangent(x: f32) -> f32 {
  let value = arcTangentPositive(abs(x));
  return unlessNan(x, select(value, -value, isNegative(x)));
}

// The angle of the point (x, y), with the signs of zeros and infinities as in IEEE 754.
fn arcTangent2(y: f32, x: f32) -> f32 {
  if (isNan(x) || isNan(y)) { return unlessNan(x, y); }
  var low = min(abs(x), abs(y));
  var high = max(abs(x), abs(y));
  // The reciprocal of a huge number would be flushed to zero.
  if (high > 1e18) {
    low *= 1e-19;
    high *= 1e-19;
  }
  var ratio = 0.0;
  if (isInf(high)) {
    ratio = select(0.0, 1.0, isInf(low));
  } else if (high > 0.0) {
    ratio = low / high;
  }
  var angle = arcTangentPositive(ratio);
  if (abs(y) > abs(x)) { angle = 1.5707963267948966 - angle; }
  if (isNegative(x)) { angle = 3.1415926535897932 - angle; }
  return select(angle, -angle, isNegative(y));
}

fn hyperbolicSine(x: f32) -> f32 {
  let m = abs(x);
  let z = x * x;
  if (m <= 1.0) { return unlessNan(x, ((2.03721912945e-4 * z + 8.33028376239e-3) * z + 1.66667160211e-1) * z * x + x); }
  let root = exponential(0.5 * m);
  if (m > 20.0) { return sign(x) * (0.5 * root * root); }
  let e = exponential(m);
  return unlessNan(x, sign(x) * (0.5 * e - 0.5 / e));
}

fn hyperbolicCosine(x: f32) -> f32 {
  let m = abs(x);
  if (m > 20.0) {
    let root = exponential(0.5 * m);
    return 0.5 * root * root;
  }
  let e = exponential(m);
  return unlessNan(x, 0.5 * e + 0.5 / e);
}

fn inverseHyperbolicSine(x: f32) -> f32 {
  let m = abs(x);
  let z = x * x;
  if (m < 0.5) {
    return (((2.0122003309e-2 * z - 4.2699340972e-2) * z + 7.4847586088e-2) * z - 1.6666288134e-1) * z * x + x;
  }
  if (m > 1500.0) { return sign(x) * (logarithm(m) + 0.69314718055994531); }
  return unlessNan(x, sign(x) * logarithm(m + sqrt(z + 1.0)));
}

fn inverseHyperbolicCosine(x: f32) -> f32 {
  if (x < 1.0) { return someNan(x); }
  if (x > 1500.0) { return logarithm(x) + 0.69314718055994531; }
  let z = x - 1.0;
  if (z < 0.5) {
    return ((((1.7596881071e-3 * z - 7.5272886713e-3) * z + 2.6454905019e-2) * z - 1.1784741703e-1) * z
      + 1.4142135263) * sqrt(z);
  }
  return unlessNan(x, logarithm(x + sqrt(z * (x + 1.0))));
}

fn inverseHyperbolicTangent(x: f32) -> f32 {
  let m = abs(x);
  if (m > 1.0) { return someNan(x); }
  if (m < 0.5) {
    let z = x * x;
    return ((((1.81740078349e-1 * z + 8.24370301058e-2) * z + 1.46691431730e-1) * z + 1.99782164500e-1) * z
      + 3.33337300303e-1) * z * x + x;
  }
  if (m == 1.0) { return select(infinity(x), -infinity(x), x < 0.0); }
  return unlessNan(x, 0.5 * logarithm((1.0 + x) / (1.0 - x)));
}
