import { viewOf } from './bytes.ts';

/** How a sample is stored: signed little-endian integers, except `uint8`; `float` is IEEE 754. */
export type PcmEncoding = 'uint8' | 'int16' | 'int24' | 'int32' | 'float32' | 'float64';

/** Bytes of one sample of each encoding. */
export const pcmBytes: Record<PcmEncoding, number> = {
  uint8: 1,
  int16: 2,
  int24: 3,
  int32: 4,
  float32: 4,
  float64: 8,
};

/** Splits interleaved samples into channels. Integers are scaled so that full scale is 1: int16 is divided by 32768. */
export function decodePcm(bytes: Uint8Array, encoding: PcmEncoding, channels: number): Float32Array[] {
  const view = viewOf(bytes);
  const sampleBytes = pcmBytes[encoding];
  const frames = Math.floor(bytes.length / (sampleBytes * channels));
  const read = sampleReader(view, encoding);
  return Array.from({ length: channels }, (_, channel) => {
    const samples = new Float32Array(frames);
    for (let i = 0; i < frames; i++) samples[i] = read((i * channels + channel) * sampleBytes);
    return samples;
  });
}

function sampleReader(view: DataView, encoding: PcmEncoding): (offset: number) => number {
  switch (encoding) {
    case 'uint8':
      return (at) => (view.getUint8(at) - 128) / 128;
    case 'int16':
      return (at) => view.getInt16(at, true) / 32768;
    case 'int24':
      return (at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 65536) / 8388608;
    case 'int32':
      return (at) => view.getInt32(at, true) / 2147483648;
    case 'float32':
      return (at) => view.getFloat32(at, true);
    case 'float64':
      return (at) => view.getFloat64(at, true);
  }
}
