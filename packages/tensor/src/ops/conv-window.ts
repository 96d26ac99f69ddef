import { conv as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';
import { type Geometry, type Kind, shareOfBlocks } from './conv-geometry.ts';

const ROWS = 16;
const LENGTH = 128;
const CHUNK = 64;
/** Fewer taps would be mostly padding of the 64 that are staged at a time. */
const SHORTEST_KERNEL = 16;

/** Whether it is a long convolution along one axis, of step one. */
export function slides({ inSize, outSize, kernel, stride, padding, dilation }: Geometry): boolean {
  const plain = inSize[0] === 1 && outSize[0] === 1 && kernel[0] === 1 && padding[0] === 0 && stride[0] === 1;
  return plain && stride[1] === 1 && dilation[1] === 1 && kernel[1] >= SHORTEST_KERNEL;
}

/** How much of the work of its workgroups is of use: the rest is rows, steps and taps past the edge. */
export function windowShare({ inPerGroup, outPerGroup, inSize, outSize, kernel }: Geometry, kind: Kind): number {
  const [rows, length, taps] = {
    forward: [outPerGroup, outSize[1], kernel[1]],
    transpose: [inPerGroup, inSize[1], kernel[1]],
    weightGradient: [outPerGroup, kernel[1], outSize[1]],
  }[kind];
  return shareOfBlocks(rows, ROWS) * shareOfBlocks(length, LENGTH) * shareOfBlocks(taps, CHUNK);
}

/**
 * A long convolution of step one, its input's gradient or its weight's, with a window of the signal in registers. All
 * three are sums of convolutions of rows: see conv_window.wgsl. Operands are dense, in the operation's order.
 */
export function recordWindow(device: Device, operands: readonly Tensor[], out: Tensor, g: Geometry, kind: Kind): void {
  const { batch, groups, inPerGroup, outPerGroup } = g;
  const [inLength, outLength, kernel, padding] = [g.inSize[1], g.outSize[1], g.kernel[1], g.padding[1]];
  const [x, y] = [
    { term: inLength, plane: groups * inPerGroup * inLength, group: inPerGroup * inLength },
    { term: outLength, plane: groups * outPerGroup * outLength, group: outPerGroup * outLength },
  ];
  const weight = { out: inPerGroup * kernel, in: kernel, group: outPerGroup * inPerGroup * kernel };
  const work = {
    forward: {
      terms: inPerGroup,
      rows: outPerGroup,
      planes: batch,
      length: outLength,
      taps: kernel,
      signalLength: inLength,
      padding,
      tapsTerm: weight.in,
      tapsRow: weight.out,
      tapsGroup: weight.group,
      signalTerm: x.term,
      signalPlane: x.plane,
      signalGroup: x.group,
      outRow: outLength,
      outPlane: y.plane,
      outGroup: y.group,
    },
    transpose: {
      terms: outPerGroup,
      rows: inPerGroup,
      planes: batch,
      length: inLength,
      taps: kernel,
      signalLength: outLength,
      // Below zero where padding is longer than the kernel: then it wraps around, as positions do.
      padding: (kernel - 1 - padding) >>> 0,
      tapsTerm: weight.out,
      tapsRow: weight.in,
      tapsGroup: weight.group,
      signalTerm: y.term,
      signalPlane: y.plane,
      signalGroup: y.group,
      outRow: inLength,
      outPlane: x.plane,
      outGroup: x.group,
    },
    weightGradient: {
      terms: batch,
      rows: outPerGroup,
      planes: inPerGroup,
      length: kernel,
      taps: outLength,
      signalLength: inLength,
      padding,
      tapsTerm: y.plane,
      tapsRow: y.term,
      tapsGroup: y.group,
      signalTerm: x.plane,
      signalPlane: x.term,
      signalGroup: x.group,
      outRow: weight.out,
      outPlane: weight.in,
      outGroup: weight.group,
    },
  }[kind];
  // x and weight, the gradient and weight, x and the gradient: the first is the signal.
  const [signal, taps] = operands;
  device.recorder.dispatch({
    kernel: kernels.convWindow,
    constants: {
      BACKWARDS: `const BACKWARDS = ${kind === 'transpose'};`,
      TapElement: `alias TapElement = ${wgslType[taps.dtype]};`,
      SignalElement: `alias SignalElement = ${wgslType[signal.dtype]};`,
      OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
    },
    buffers: [taps.storage.buffer, signal.storage.buffer, out.storage.buffer],
    parameters: { ...work, groups, tapsOffset: taps.offset, signalOffset: signal.offset },
    grid: [Math.ceil(work.length / LENGTH), Math.ceil(work.rows / ROWS), groups * work.planes],
  });
}
