// Division and remainder that round down, of floats and of whole numbers; powers of whole numbers.

// x - y * trunc(x / y) without rounding: long division of the significands, eight bits at a time.
fn truncatedRemainder(x: f32, y: f32) -> f32 {
  if (isNan(x) || isNan(y) || isInf(x) || y == 0.0) { return someNan(x); }
  let a = bitcast<u32>(x) & 0x7fffffffu;
  let b = bitcast<u32>(y) & 0x7fffffffu;
  if (a < b) { return x; }
  let aExponent = max(a >> 23u, 1u);
  let bExponent = max(b >> 23u, 1u);
  let divisor = select((b & 0x007fffffu) | 0x00800000u, b, b < 0x00800000u);
  var rest = select((a & 0x007fffffu) | 0x00800000u, a, a < 0x00800000u) % divisor;
  for (var left = aExponent - bExponent; left > 0u;) {
    let shift = min(left, 8u);
    rest = (rest << shift) % divisor;
    left -= shift;
  }
  let k = i32(bExponent) - 150;
  let value = f32(rest) * powerOfTwo(k / 2) * powerOfTwo(k - k / 2);
  return select(value, -value, isNegative(x));
}

// The remainder with the sign of the divisor, as in Python.
fn flooredRemainder(x: f32, y: f32) -> f32 {
  let rest = truncatedRemainder(x, y);
  if (rest == 0.0) { return select(0.0, -0.0, isNegative(y)); }
  if (!isNan(rest) && isNegative(rest) != isNegative(y)) { return rest + y; }
  return rest;
}

// floor(x / y), right also where x / y would round up to a whole number.
fn flooredQuotient(x: f32, y: f32) -> f32 {
  if (isNan(x) || isNan(y)) { return someNan(x); }
  if (y == 0.0) {
    if (x == 0.0) { return someNan(x); }
    return select(infinity(x), -infinity(x), isNegative(x) != isNegative(y));
  }
  if (isInf(x)) { return someNan(x); }
  if (isInf(y)) { return select(0.0, -1.0, x != 0.0 && isNegative(x) != isNegative(y)); }
  return round((x - flooredRemainder(x, y)) / y);
}

// The same of whole numbers; by zero both are 0, as in NumPy.
fn flooredQuotientI32(x: i32, y: i32) -> i32 {
  if (y == 0) { return 0; }
  return x / y - select(0, 1, x % y != 0 && (x < 0) != (y < 0));
}

fn flooredRemainderI32(x: i32, y: i32) -> i32 {
  if (y == 0) { return 0; }
  let rest = x % y;
  return select(rest, rest + y, rest != 0 && (rest < 0) != (y < 0));
}

// Powers of whole numbers, which wrap; of negative exponents what is left of 1 / x^n when it is cut towards zero.
fn powerU32(x: u32, y: u32) -> u32 {
  var base = x;
  var result = 1u;
  for (var rest = y; rest != 0u; rest >>= 1u) {
    if ((rest & 1u) == 1u) { result *= base; }
    base *= base;
  }
  return result;
}

fn powerI32(x: i32, y: i32) -> i32 {
  if (y >= 0) { return i32(powerU32(u32(x), u32(y))); }
  if (x == 1) { return 1; }
  if (x == -1) { return select(1, -1, (y & 1) == 1); }
  return 0;
}
