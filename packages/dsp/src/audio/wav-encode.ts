import { checkOptions } from '@dawnchorus/tensor';
import { checkChoice } from '../options.ts';

/**
 * A WAV file of the given samples. The format `pcm16` (default) rounds to 16-bit integers and clips beyond full scale;
 * `float32` keeps the values.
 *
 * @param samples one array for mono, or one array a channel, all of one length; full scale is 1
 * @param sampleRate samples a second
 * @throws RangeError when there is no such format, no channel, the lengths differ, the rate is no positive whole number, a sample is not
 *   finite, or the file would be longer than the 4 GiB that WAV can say
 */
export function encodeWav(
  samples: Float32Array | Float32Array[],
  sampleRate: number,
  options: { format?: 'pcm16' | 'float32' } = {},
): Uint8Array {
  checkOptions('encodeWav', options, ['format']);
  const { format = 'pcm16' } = options;
  checkChoice('encodeWav', 'format', format, ['pcm16', 'float32']);
  const channels = Array.isArray(samples) ? samples : [samples];
  const frames = checkedLength('encodeWav', channels, 0xffff);
  if (!Number.isInteger(sampleRate) || sampleRate <= 0 || sampleRate > 0xffffffff) {
    throw new RangeError(`encodeWav: the sample rate must be a positive whole number of hertz, got ${sampleRate}`);
  }
  const float = format === 'float32';
  const sampleBytes = float ? 4 : 2;
  const dataBytes = frames * channels.length * sampleBytes;
  // Formats other than PCM carry an (empty) extension of `fmt ` and a `fact` chunk with the number of frames.
  const formatBytes = float ? 18 : 16;
  const dataOffset = 12 + 8 + formatBytes + (float ? 12 : 0) + 8;
  const padding = dataBytes % 2;
  const size = dataOffset + dataBytes + padding;
  if (size - 8 > 0xffffffff) {
    throw new RangeError(`encodeWav: ${size} bytes do not fit a WAV file (4 GiB); write several files`);
  }
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  const text = (offset: number, value: string) => bytes.set(new TextEncoder().encode(value), offset);
  text(0, 'RIFF');
  view.setUint32(4, size - 8, true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, formatBytes, true);
  view.setUint16(20, float ? 3 : 1, true);
  view.setUint16(22, channels.length, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * channels.length * sampleBytes, true);
  view.setUint16(32, channels.length * sampleBytes, true);
  view.setUint16(34, sampleBytes * 8, true);
  if (float) {
    text(38, 'fact');
    view.setUint32(42, 4, true);
    view.setUint32(46, frames, true);
  }
  text(dataOffset - 8, 'data');
  view.setUint32(dataOffset - 4, dataBytes, true);
  for (const [index, channel] of channels.entries()) {
    for (let i = 0; i < frames; i++) {
      const offset = dataOffset + (i * channels.length + index) * sampleBytes;
      if (float) view.setFloat32(offset, channel[i], true);
      else view.setInt16(offset, Math.max(-32768, Math.min(32767, Math.round(channel[i] * 32768))), true);
    }
  }
  return bytes;
}

/** The samples of each channel. @throws RangeError as the encoders do. */
export function checkedLength(name: string, channels: Float32Array[], most: number): number {
  if (channels.length === 0 || channels.length > most) {
    throw new RangeError(`${name}: expected 1 to ${most} channels, got ${channels.length}`);
  }
  for (const [index, channel] of channels.entries()) {
    if (channel.length !== channels[0].length) {
      throw new RangeError(
        `${name}: all channels must be of one length, but channel ${index} has ${channel.length} samples and channel 0 has ${channels[0].length}`,
      );
    }
    const bad = channel.findIndex((sample) => !Number.isFinite(sample));
    if (bad >= 0) throw new RangeError(`${name}: sample ${bad} of channel ${index} is ${channel[bad]}`);
  }
  return channels[0].length;
}
