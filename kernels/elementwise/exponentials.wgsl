// Exponentials and logarithms.

fn powerOfTwo(k: i32) -> f32 {
  return bitcast<f32>(u32(k + 127) << 23u);
}

// exp to about 1e-7 (Cephes' expf.c): WGSL allows 3 + 2 |x| units in the last place.
fn exponential(x: f32) -> f32 {
  let m = clamp(x, -104.0, 89.0);
  let n = round(m * 1.44269504088896341);
  let r = (m - n * 0.693359375) + n * 2.12194440e-4;
  let p = (((((1.9875691500e-4 * r + 1.3981999507e-3) * r + 8.3334519073e-3) * r + 4.1665795894e-2) * r
    + 1.6666665459e-1) * r + 5.0000001201e-1) * r * r + r + 1.0;
  // 2^n in two factors: n goes beyond the exponents of f32 at both ends.
  let k = i32(n);
  return unlessNan(x, p * powerOfTwo(k / 2) * powerOfTwo(k - k / 2));
}

fn exponential2(x: f32) -> f32 {
  let m = clamp(x, -151.0, 129.0);
  let n = round(m);
  let k = i32(n);
  return unlessNan(x, exponential((m - n) * 0.69314718055994531) * powerOfTwo(k / 2) * powerOfTwo(k - k / 2));
}

// log(1 + m) for m between sqrt(1/2) - 1 and sqrt(2) - 1 (Cephes' logf.c).
fn logOnePlusSmall(m: f32) -> f32 {
  let z = m * m;
  let y = ((((((((7.0376836292e-2 * m - 1.1514610310e-1) * m + 1.1676998740e-1) * m - 1.2420140846e-1) * m
    + 1.4249322787e-1) * m - 1.6668057665e-1) * m + 2.0000714765e-1) * m - 2.4999993993e-1) * m
    + 3.3333331174e-1) * m * z;
  return m + (y - 0.5 * z);
}

// exponent * (high + low) + scale * log(mantissa): the logarithm of any base, to about 1e-7 also beside 1, where WGSL promises
// 2^-21 absolutely.
fn logarithmTo(x: f32, high: f32, low: f32, scale: f32) -> f32 {
  if (isNan(x)) { return x; }
  var bits = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) == 0u) { return -infinity(x); }
  if (isNegative(x)) { return someNan(x); }
  if (isInf(x)) { return x; }
  var exponent = -126;
  if (bits < 0x00800000u) {
    let shift = countLeadingZeros(bits) - 8u;
    bits <<= shift;
    exponent -= i32(shift);
  }
  exponent += i32(bits >> 23u);
  var m = bitcast<f32>((bits & 0x007fffffu) | 0x3f000000u);
  if (m < 0.70710678118654752) {
    exponent -= 1;
    m = 2.0 * m - 1.0;
  } else {
    m = m - 1.0;
  }
  let e = f32(exponent);
  return e * high + (e * low + scale * logOnePlusSmall(m));
}

fn logarithm(x: f32) -> f32 { return logarithmTo(x, 0.693359375, -2.12194440e-4, 1.0); }

fn logarithm2(x: f32) -> f32 { return logarithmTo(x, 1.0, 0.0, 1.44269504088896341); }

fn logarithm10(x: f32) -> f32 { return logarithmTo(x, 0.30078125, 2.48745663981195214e-4, 0.43429448190325183); }

fn log1p(x: f32) -> f32 {
  if (x > -0.29 && x < 0.41) { return unlessNan(x, logOnePlusSmall(x)); }
  return logarithm(1.0 + x);
}

// exp(x) - 1 without cancellation near zero.
fn expm1(x: f32) -> f32 {
  if (abs(x) < 0.25) {
    return x * (1.0 + x * (0.5 + x * (0.16666666667 + x * (0.041666666667 + x * (0.0083333333333 + x * (0.0013888888889 + x * 0.0001984126984))))));
  }
  return exponential(x) - 1.0;
}
