import { conv as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';
import type { ConvAttributes } from './conv.ts';
import { inChunks, registerChunk } from './conv-parts.ts';
import { withDense } from './dense.ts';

/** 4 channels x 8 steps a thread, no workgroup memory. */
export function convRegister(
  device: Device,
  inputs: readonly Tensor[],
  [out]: readonly Tensor[],
  { stride, padding, dilation, groups }: ConvAttributes,
): void {
  const [batch, outChannels, outLength] = out.shape;
  withDense(device, inputs, ([x, weight]) => {
    device.recorder.dispatch({
      kernel: kernels.conv1d,
      constants: {
        PADDED: `const PADDED = ${padding > 0};`,
        XElement: `alias XElement = ${wgslType[x.dtype]};`,
        WeightElement: `alias WeightElement = ${wgslType[weight.dtype]};`,
        OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
      },
      buffers: [x.storage.buffer, weight.storage.buffer, out.storage.buffer],
      parameters: {
        inChannels: x.shape[1],
        inLength: x.shape[2],
        outChannels,
        outLength,
        kernel: weight.shape[2],
        stride,
        padding,
        dilation,
        groups,
        xOffset: x.offset,
        weightOffset: weight.offset,
      },
      grid: [Math.ceil(outLength / 128), Math.ceil((groups * Math.ceil(outChannels / groups / 4)) / 4), batch],
    });
  });
}

/** 4 channels x 8 positions of one phase a thread, no workgroup memory. */
export function transposeRegister(
  device: Device,
  inputs: readonly Tensor[],
  [out]: readonly Tensor[],
  { stride, padding, dilation, groups, length }: ConvAttributes & { length: number },
): void {
  const [batch, channels] = out.shape;
  withDense(device, inputs, ([y, weight]) => {
    const threads = stride * Math.ceil(Math.ceil(length / stride) / 8);
    device.recorder.dispatch({
      kernel: kernels.conv1dTranspose,
      constants: {
        YElement: `alias YElement = ${wgslType[y.dtype]};`,
        WeightElement: `alias WeightElement = ${wgslType[weight.dtype]};`,
        OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
      },
      buffers: [y.storage.buffer, weight.storage.buffer, out.storage.buffer],
      parameters: {
        channels,
        length,
        yChannels: y.shape[1],
        yLength: y.shape[2],
        kernel: weight.shape[2],
        stride,
        padding,
        dilation,
        groups,
        yOffset: y.offset,
        weightOffset: weight.offset,
      },
      grid: [Math.ceil(threads / 16), Math.ceil((groups * Math.ceil(channels / groups / 4)) / 4), batch],
    });
  });
}

/** 8 channels x 4 taps a thread, no workgroup memory. */
export function weightGradientRegister(
  device: Device,
  inputs: readonly Tensor[],
  [out]: readonly Tensor[],
  { stride, padding, dilation, groups, kernel }: ConvAttributes & { kernel: number },
): void {
  withDense(device, inputs, ([x, grad]) => {
    const [batch, inChannels, inLength] = x.shape;
    const [, outChannels, outLength] = grad.shape;
    const columns = (inChannels / groups) * kernel;
    const rows = groups * Math.ceil(outChannels / groups / 8);
    const threads = Math.ceil(columns / 4) * rows;
    const total = batch * outLength;
    inChunks(device, out, total, registerChunk(total, threads), (partial, chunk, splits) => {
      device.recorder.dispatch({
        kernel: kernels.conv1dWeightGradient,
        constants: {
          XElement: `alias XElement = ${wgslType[x.dtype]};`,
          GradElement: `alias GradElement = ${wgslType[grad.dtype]};`,
          OutElement: `alias OutElement = ${wgslType[partial.dtype]};`,
        },
        buffers: [x.storage.buffer, grad.storage.buffer, partial.storage.buffer],
        parameters: {
          batch,
          inChannels,
          inLength,
          outChannels,
          outLength,
          kernel,
          stride,
          padding,
          dilation,
          groups,
          chunk,
          xOffset: x.offset,
          gradOffset: grad.offset,
        },
        grid: [Math.ceil(columns / 32), Math.ceil(rows / 8), splits],
      });
    });
  });
}
