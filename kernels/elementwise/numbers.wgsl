// NaN, infinities and signs, which the other functions of this folder look for.

// WGSL lets an implementation assume that there are no NaN and no infinities, and some do: max(NaN, 1) is 1 and exp(NaN) is 0
// on SwiftShader. Every function here that would lose a NaN looks for it in the bits.
fn isNan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn isFinite(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

fn isInf(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u;
}

// A NaN and an infinity made of data: constants of either do not compile.
fn someNan(x: f32) -> f32 {
  return bitcast<f32>(0x7fc00000u | (bitcast<u32>(x) & 1u));
}

fn infinity(x: f32) -> f32 {
  return bitcast<f32>(0x7f800000u | (bitcast<u32>(x) & 0u));
}

fn isNegative(x: f32) -> bool {
  return (bitcast<u32>(x) >> 31u) == 1u;
}

// y, or x where that is NaN.
fn unlessNan(x: f32, y: f32) -> f32 {
  return select(y, x, isNan(x));
}

fn maximumOf(x: f32, y: f32) -> f32 {
  return unlessNan(x, unlessNan(y, max(x, y)));
}

fn minimumOf(x: f32, y: f32) -> f32 {
  return unlessNan(x, unlessNan(y, min(x, y)));
}
