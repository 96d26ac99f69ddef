import { conv as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';
import { inChunks, registerChunk } from './conv-parts.ts';
import type { Conv2dAttributes } from './conv2d.ts';
import { withDense } from './dense.ts';
import { type Pair, windowParameters } from './window.ts';

/** 4 channels x 8 positions of a row a thread, no workgroup memory. */
export function conv2dRegister(
  device: Device,
  inputs: readonly Tensor[],
  [out]: readonly Tensor[],
  attributes: Conv2dAttributes,
): void {
  const [batch, outChannels, outHeight, outWidth] = out.shape;
  const { groups, padding } = attributes;
  withDense(device, inputs, ([x, weight]) => {
    device.recorder.dispatch({
      kernel: kernels.conv2d,
      constants: {
        PADDED: `const PADDED = ${padding[1] > 0};`,
        XElement: `alias XElement = ${wgslType[x.dtype]};`,
        WeightElement: `alias WeightElement = ${wgslType[weight.dtype]};`,
        OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
      },
      buffers: [x.storage.buffer, weight.storage.buffer, out.storage.buffer],
      parameters: {
        inChannels: x.shape[1],
        inHeight: x.shape[2],
        inWidth: x.shape[3],
        outChannels,
        outHeight,
        outWidth,
        ...windowParameters([weight.shape[2], weight.shape[3]], attributes),
        groups,
        xOffset: x.offset,
        weightOffset: weight.offset,
      },
      grid: [
        Math.ceil((outHeight * Math.ceil(outWidth / 8)) / 16),
        Math.ceil((groups * Math.ceil(outChannels / groups / 4)) / 4),
        batch,
      ],
    });
  });
}

/** 4 channels x 8 positions of one phase of a row a thread, no workgroup memory. */
export function transpose2dRegister(
  device: Device,
  inputs: readonly Tensor[],
  [out]: readonly Tensor[],
  attributes: Conv2dAttributes & { readonly size: Pair },
): void {
  const [batch, channels, height, width] = out.shape;
  const { groups, stride } = attributes;
  withDense(device, inputs, ([y, weight]) => {
    const perRow = stride[1] * Math.ceil(Math.ceil(width / stride[1]) / 8);
    device.recorder.dispatch({
      kernel: kernels.conv2dTranspose,
      constants: {
        YElement: `alias YElement = ${wgslType[y.dtype]};`,
        WeightElement: `alias WeightElement = ${wgslType[weight.dtype]};`,
        OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
      },
      buffers: [y.storage.buffer, weight.storage.buffer, out.storage.buffer],
      parameters: {
        channels,
        height,
        width,
        yChannels: y.shape[1],
        yHeight: y.shape[2],
        yWidth: y.shape[3],
        ...windowParameters([weight.shape[2], weight.shape[3]], attributes),
        groups,
        yOffset: y.offset,
        weightOffset: weight.offset,
      },
      grid: [Math.ceil((height * perRow) / 16), Math.ceil((groups * Math.ceil(channels / groups / 4)) / 4), batch],
    });
  });
}

/** 8 channels x 4 taps a thread, no workgroup memory. */
export function weightGradient2dRegister(
  device: Device,
  inputs: readonly Tensor[],
  [out]: readonly Tensor[],
  attributes: Conv2dAttributes & { readonly kernel: Pair },
): void {
  const { groups, kernel } = attributes;
  withDense(device, inputs, ([x, grad]) => {
    const [batch, inChannels, inHeight, inWidth] = x.shape;
    const [, outChannels, outHeight, outWidth] = grad.shape;
    const columns = (inChannels / groups) * kernel[0] * kernel[1];
    const rows = groups * Math.ceil(outChannels / groups / 8);
    const threads = Math.ceil(columns / 4) * rows;
    const total = batch * outHeight * outWidth;
    inChunks(device, out, total, registerChunk(total, threads), (partial, chunk, splits) => {
      device.recorder.dispatch({
        kernel: kernels.conv2dWeightGradient,
        constants: {
          XElement: `alias XElement = ${wgslType[x.dtype]};`,
          GradElement: `alias GradElement = ${wgslType[grad.dtype]};`,
          OutElement: `alias OutElement = ${wgslType[partial.dtype]};`,
        },
        buffers: [x.storage.buffer, grad.storage.buffer, partial.storage.buffer],
        parameters: {
          batch,
          inChannels,
          inHeight,
          inWidth,
          outChannels,
          outHeight,
          outWidth,
          ...windowParameters(kernel, attributes),
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
