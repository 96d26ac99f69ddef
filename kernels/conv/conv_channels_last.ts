import { emit, gridStart, ownKernel, prepare } from '../contract.ts';
import { convFold as foldSource, convChannelsLast as source, transposeTile } from '../generated/wgsl.ts';

/** A side of the tiles that go through workgroup memory: see transpose_tile.wgsl. */
export const TRANSPOSE_SIDE = 32;

/** x [batch, channels, length] -> [batch, outLength, channels]. Grid: (outLength / TRANSPOSE_SIDE, channels / TRANSPOSE_SIDE, batch). */
export const convChannelsLast = ownKernel({
  name: 'conv_channels_last',
  source: `${transposeTile}\n${source}`,
  bindings: { x: 'read', out: 'readWrite' },
  parameters: { channels: 'u32', length: 'u32', padding: 'u32', outLength: 'u32', offset: 'u32', ...gridStart },
  constants: { Element: 'alias Element = f32;' },
});

/** columns [batch, steps, kernel, channels] -> [batch, channels, length]. Grid: (length / TRANSPOSE_SIDE, channels / TRANSPOSE_SIDE, batch). */
export const convFold = ownKernel({
  name: 'conv_fold',
  source: `${transposeTile}\n${foldSource}`,
  bindings: { columns: 'read', out: 'readWrite' },
  parameters: {
    channels: 'u32',
    length: 'u32',
    steps: 'u32',
    kernel: 'u32',
    stride: 'u32',
    padding: 'u32',
    ...gridStart,
  },
  constants: { ColumnElement: 'alias ColumnElement = f32;', OutElement: 'alias OutElement = f32;' },
  hooks: { emit, prepare },
});
