// out[i, j, n] = sum over r and k of taps[r, i, k] signal[r, j, n + k - padding], in groups: long convolutions of step one,
// for hardware adapters. A convolution has r the input channels, i the output channels, j the batch; its input's gradient
// has input and output channels exchanged and its taps read backwards; its weight's gradient has r the batch, i the output
// channels, j the input channels, the output's gradient for taps, and makes n taps.
//
// A thread makes 4 of i x 8 of n and keeps a window of the signal in registers, which slides along with k: 10 reads of
// vec4 for 8 taps, that is 256 multiply-adds. A workgroup of 4 x 16 threads, 16 of i x 128 of n, stages 64 taps and the
// signal that they meet in workgroup memory: 1216 reads of global memory for 131,072 multiply-adds.
//
// In front: BACKWARDS, whether taps are read from the end; TapElement, SignalElement and OutElement, the types in memory.
// Sums are in f32.
struct Params {
  terms: u32,
  rows: u32,
  planes: u32,
  length: u32,
  taps: u32,
  signalLength: u32,
  padding: u32,
  groups: u32,
  tapsOffset: u32,
  tapsTerm: u32,
  tapsRow: u32,
  tapsGroup: u32,
  signalOffset: u32,
  signalTerm: u32,
  signalPlane: u32,
  signalGroup: u32,
  outRow: u32,
  outPlane: u32,
  outGroup: u32,
  groupX: u32,
  groupY: u32,
  groupZ: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> taps: array<TapElement>;
@group(0) @binding(2) var<storage, read> signal: array<SignalElement>;
@group(0) @binding(3) var<storage, read_write> out: array<OutElement>;

const CHUNK = 64u;
const ROWS = 16u;
const LENGTH = 128u;
// A row of taps takes 16 vec4; one more keeps rows in other banks.
const ROW = CHUNK / 4u + 1u;
const SEGMENT = (LENGTH + CHUNK) / 4u;
var<workgroup> staged: array<vec4<f32>, ROWS * ROW>;
var<workgroup> segment: array<vec4<f32>, SEGMENT>;

fn loadTap(base: u32, k: u32, isThere: bool) -> f32 {
  let inside = isThere && k < params.taps;
  let place = select(k, params.taps - 1u - k, BACKWARDS);
  return select(0.0, f32(taps[select(0u, base + place, inside)]), inside);
}

// Positions before the start wrap around to huge numbers, which the test refuses.
fn loadSignal(base: u32, position: u32) -> f32 {
  let inside = position < params.signalLength;
  return select(0.0, f32(signal[select(0u, base + position, inside)]), inside);
}

fn storeFour(at: u32, count: u32, values: vec4<f32>) {
  if (count == 0u) { return; }
  prepare(at);
  emit(at, values.x);
  if (count > 1u) { emit(at + 1u, values.y); }
  if (count > 2u) { emit(at + 2u, values.z); }
  if (count > 3u) { emit(at + 3u, values.w); }
}

fn store(at: u32, count: u32, early: vec4<f32>, late: vec4<f32>) {
  storeFour(at, min(count, 4u), early);
  storeFour(at + 4u, max(count, 4u) - 4u, late);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) own: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let workgroup = own + vec3<u32>(params.groupX, params.groupY, params.groupZ);
  let group = workgroup.z % params.groups;
  let plane = workgroup.z / params.groups;
  let firstRow = workgroup.y * ROWS;
  let firstPlace = workgroup.x * LENGTH;
  let threadRow = lane / 16u;
  let threadPlace = lane % 16u;
  let tapsBase = params.tapsOffset + group * params.tapsGroup;
  let signalBase = params.signalOffset + group * params.signalGroup + plane * params.signalPlane;

  var a0 = vec4<f32>();
  var a1 = vec4<f32>();
  var a2 = vec4<f32>();
  var a3 = vec4<f32>();
  var b0 = vec4<f32>();
  var b1 = vec4<f32>();
  var b2 = vec4<f32>();
  var b3 = vec4<f32>();
  for (var r = 0u; r < params.terms; r++) {
    let base = signalBase + r * params.signalTerm;
    for (var k0 = 0u; k0 < params.taps; k0 += CHUNK) {
      for (var i = lane; i < ROWS * CHUNK / 4u; i += 64u) {
        let row = i / (CHUNK / 4u);
        let k = k0 + i % (CHUNK / 4u) * 4u;
        let isThere = firstRow + row < params.rows;
        let rowBase = tapsBase + r * params.tapsTerm + (firstRow + row) * params.tapsRow;
        staged[row * ROW + i % (CHUNK / 4u)] = vec4<f32>(
          loadTap(rowBase, k, isThere),
          loadTap(rowBase, k + 1u, isThere),
          loadTap(rowBase, k + 2u, isThere),
          loadTap(rowBase, k + 3u, isThere),
        );
      }
      if (lane < SEGMENT) {
        let position = firstPlace + k0 + lane * 4u - params.padding;
        segment[lane] = vec4<f32>(
          loadSignal(base, position),
          loadSignal(base, position + 1u),
          loadSignal(base, position + 2u),
          loadSignal(base, position + 3u),
        );
      }
      workgroupBarrier();
      var s0 = segment[threadPlace * 2u];
      var s1 = segment[threadPlace * 2u + 1u];
      for (var k = 0u; k < CHUNK / 4u; k += 2u) {
        let s2 = segment[threadPlace * 2u + k + 2u];
        let s3 = segment[threadPlace * 2u + k + 3u];
        let x1 = vec4<f32>(s0.yzw, s1.x);
        let x2 = vec4<f32>(s0.zw, s1.xy);
        let x3 = vec4<f32>(s0.w, s1.xyz);
        let x5 = vec4<f32>(s1.yzw, s2.x);
        let x6 = vec4<f32>(s1.zw, s2.xy);
        let x7 = vec4<f32>(s1.w, s2.xyz);
        let x9 = vec4<f32>(s2.yzw, s3.x);
        let x10 = vec4<f32>(s2.zw, s3.xy);
        let x11 = vec4<f32>(s2.w, s3.xyz);
        let at = threadRow * 4u * ROW + k;
        var w = staged[at];
        var v = staged[at + 1u];
        a0 += w.x * s0 + w.y * x1 + w.z * x2 + w.w * x3 + v.x * s1 + v.y * x5 + v.z * x6 + v.w * x7;
        b0 += w.x * s1 + w.y * x5 + w.z * x6 + w.w * x7 + v.x * s2 + v.y * x9 + v.z * x10 + v.w * x11;
        w = staged[at + ROW];
        v = staged[at + ROW + 1u];
        a1 += w.x * s0 + w.y * x1 + w.z * x2 + w.w * x3 + v.x * s1 + v.y * x5 + v.z * x6 + v.w * x7;
        b1 += w.x * s1 + w.y * x5 + w.z * x6 + w.w * x7 + v.x * s2 + v.y * x9 + v.z * x10 + v.w * x11;
        w = staged[at + 2u * ROW];
        v = staged[at + 2u * ROW + 1u];
        a2 += w.x * s0 + w.y * x1 + w.z * x2 + w.w * x3 + v.x * s1 + v.y * x5 + v.z * x6 + v.w * x7;
        b2 += w.x * s1 + w.y * x5 + w.z * x6 + w.w * x7 + v.x * s2 + v.y * x9 + v.z * x10 + v.w * x11;
        w = staged[at + 3u * ROW];
        v = staged[at + 3u * ROW + 1u];
        a3 += w.x * s0 + w.y * x1 + w.z * x2 + w.w * x3 + v.x * s1 + v.y * x5 + v.z * x6 + v.w * x7;
        b3 += w.x * s1 + w.y * x5 + w.z * x6 + w.w * x7 + v.x * s2 + v.y * x9 + v.z * x10 + v.w * x11;
        s0 = s2;
        s1 = s3;
      }
      workgroupBarrier();
    }
  }

  let n = firstPlace + threadPlace * 8u;
  let count = min(8u, max(params.length, n) - n);
  let row = firstRow + threadRow * 4u;
  let at = group * params.outGroup + plane * params.outPlane + row * params.outRow + n;
  if (row < params.rows) { store(at, count, a0, b0); }
  if (row + 1u < params.rows) { store(at + params.outRow, count, a1, b1); }
  if (row + 2u < params.rows) { store(at + 2u * params.outRow, count, a2, b2); }
  if (row + 3u < params.rows) { store(at + 3u * params.outRow, count, a3, b3); }
}
