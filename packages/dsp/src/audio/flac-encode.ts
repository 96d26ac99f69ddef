/**
 * FLAC of 16-bit samples (RFC 9639): fixed predictors of orders 0 to 4 and partitioned Rice codes, which is what most of
 * FLAC's gain comes from.
 */
import { checkOptions } from '@dawnchorus/tensor';
import { crc8, crc16Table } from './checksum.ts';
import { checkedLength } from './wav-encode.ts';

const BLOCK = 4096;
/** Rice parameters of 4 bits; 15 would announce samples as they are. */
const MOST_RICE = 14;

interface BitWriter {
  /** The lowest `count` (0 to 32) bits of a value. */
  bits(value: number, count: number): void;
  /** Zeros, then a one. */
  unary(zeros: number): void;
  align(): void;
  bytes(): Uint8Array<ArrayBuffer>;
}

function bitWriter(): BitWriter {
  let buffer = new Uint8Array(1 << 14);
  let length = 0;
  let held = 0;
  let free = 8;
  const flush = () => {
    if (length === buffer.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(buffer);
      buffer = larger;
    }
    buffer[length++] = held;
    held = 0;
    free = 8;
  };
  const writer: BitWriter = {
    bits(value, count) {
      let left = count;
      while (left > 0) {
        const take = Math.min(left, free);
        const part = (value >>> (left - take)) & (2 ** take - 1);
        held |= part << (free - take);
        free -= take;
        left -= take;
        if (free === 0) flush();
      }
    },
    unary(zeros) {
      let left = zeros;
      while (left >= free) {
        left -= free;
        flush();
      }
      free -= left;
      writer.bits(1, 1);
    },
    align() {
      if (free < 8) flush();
    },
    bytes: () => buffer.slice(0, length),
  };
  return writer;
}

/** Differences of the order-th degree; the first `order` samples stay. */
function residual(samples: Int32Array, order: number): Int32Array {
  let out = samples;
  for (let degree = 0; degree < order; degree++) {
    const next = Int32Array.from(out);
    for (let i = out.length - 1; i > degree; i--) next[i] = out[i] - out[i - 1];
    out = next;
  }
  return out;
}

/** The order whose residual is smallest in sum of magnitudes, and that residual. */
function bestOrder(samples: Int32Array): { order: number; values: Int32Array } {
  let best = { order: 0, values: samples, cost: Number.POSITIVE_INFINITY };
  for (let order = 0; order <= Math.min(4, samples.length - 1); order++) {
    const values = residual(samples, order);
    let cost = 0;
    for (let i = 4; i < values.length; i++) cost += Math.abs(values[i]);
    if (cost < best.cost) best = { order, values, cost };
  }
  return best;
}

/** Zigzag: small magnitudes of either sign become small numbers. */
const fold = (value: number): number => (value >= 0 ? 2 * value : -2 * value - 1);

/** The parameter for folded values of a given sum, and about what the values cost with it, bits. */
function rice(sum: number, count: number): { parameter: number; cost: number } {
  let best = { parameter: 0, cost: Number.POSITIVE_INFINITY };
  for (let parameter = 0; parameter <= MOST_RICE; parameter++) {
    const cost = count * (1 + parameter) + sum / 2 ** parameter;
    if (cost < best.cost) best = { parameter, cost };
  }
  return best;
}

function writeSubframe(writer: BitWriter, samples: Int32Array): void {
  const count = samples.length;
  if (samples.every((value) => value === samples[0])) {
    writer.bits(0, 8);
    writer.bits(samples[0], 16);
    return;
  }
  const { order, values } = bestOrder(samples);
  writer.bits((8 + order) << 1, 8);
  for (let i = 0; i < order; i++) writer.bits(samples[i], 16);
  const folded = values.subarray(order).map(fold);
  // As many partitions as pay.
  let best: { partitions: number; parameters: number[]; cost: number } | undefined;
  for (let partitions = 0; partitions <= 6; partitions++) {
    const size = count >> partitions;
    if (size << partitions !== count || size <= order) break;
    const parameters: number[] = [];
    let cost = 0;
    for (let part = 0; part < 1 << partitions; part++) {
      const own = folded.subarray(Math.max(0, part * size - order), (part + 1) * size - order);
      let sum = 0;
      for (const value of own) sum += value;
      const choice = rice(sum, own.length);
      parameters.push(choice.parameter);
      cost += 4 + choice.cost;
    }
    if (!best || cost < best.cost) best = { partitions, parameters, cost };
  }
  const { partitions, parameters } = best as { partitions: number; parameters: number[] };
  writer.bits(0, 2);
  writer.bits(partitions, 4);
  const size = count >> partitions;
  for (const [part, parameter] of parameters.entries()) {
    writer.bits(parameter, 4);
    for (let i = Math.max(0, part * size - order); i < (part + 1) * size - order; i++) {
      writer.unary(folded[i] >>> parameter);
      writer.bits(folded[i], parameter);
    }
  }
}

/** A number as UTF-8 writes code points, up to 31 bits. */
function utf8(value: number): number[] {
  if (value < 0x80) return [value];
  // n bytes hold 5n + 1 bits: 7 - n in the first, 6 in each other.
  let length = 2;
  while (value >= 2 ** (5 * length + 1)) length++;
  const tail = Array.from({ length: length - 1 }, (_, i) => 0x80 | ((value >>> (6 * (length - 2 - i))) & 0x3f));
  return [((0xff00 >> length) & 0xff) | (value >>> (6 * (length - 1))), ...tail];
}

/**
 * A FLAC file of the given samples, rounded to 16-bit integers and clipped beyond full scale; there are no options.
 *
 * @param samples one Float32Array for each of 1 to 8 channels, all of one length; an array alone is mono
 * @throws RangeError on no or too many channels, channels of different lengths, values that are not finite, or a rate
 * that is no whole number of 1 to 655350.
 */
export function encodeFlac(
  samples: Float32Array | Float32Array[],
  sampleRate: number,
  options: Record<string, never> = {},
): Uint8Array<ArrayBuffer> {
  checkOptions('encodeFlac: 16 bits a sample', options, []);
  const channels = samples instanceof Float32Array ? [samples] : samples;
  const frames = checkedLength('encodeFlac', channels, 8);
  if (!Number.isInteger(sampleRate) || sampleRate < 1 || sampleRate > 655350) {
    throw new RangeError(`encodeFlac: the sample rate is ${sampleRate}; expected a whole number of 1 to 655350`);
  }
  const whole = channels.map((channel) =>
    Int32Array.from(channel, (value) => Math.max(-32768, Math.min(32767, Math.round(value * 32768)))),
  );
  const info = bitWriter();
  info.bits(0x664c6143, 32);
  info.bits(0x80, 8);
  info.bits(34, 24);
  info.bits(BLOCK, 16);
  info.bits(BLOCK, 16);
  info.bits(0, 24);
  info.bits(0, 24);
  info.bits(sampleRate, 20);
  info.bits(channels.length - 1, 3);
  info.bits(15, 5);
  info.bits(Math.floor(frames / 2 ** 32), 4);
  info.bits(frames >>> 0, 32);
  // No MD5 of the samples: zeros say so.
  for (let i = 0; i < 4; i++) info.bits(0, 32);
  const parts: Uint8Array<ArrayBuffer>[] = [info.bytes()];
  for (let start = 0, number = 0; start < frames; start += BLOCK, number++) {
    const count = Math.min(BLOCK, frames - start);
    const writer = bitWriter();
    // A block of a size and of the stream's rate; 16 bits a sample.
    writer.bits(0xfff8, 16);
    writer.bits(0x70, 8);
    writer.bits(((channels.length - 1) << 4) | 0x08, 8);
    for (const byte of utf8(number)) writer.bits(byte, 8);
    writer.bits(count - 1, 16);
    const header = writer.bytes();
    writer.bits(crc8(header, 0, header.length), 8);
    for (const channel of whole) writeSubframe(writer, channel.subarray(start, start + count));
    writer.align();
    const body = writer.bytes();
    let crc = 0;
    for (const byte of body) crc = ((crc << 8) & 0xffff) ^ crc16Table[(crc >> 8) ^ byte];
    writer.bits(crc, 16);
    parts.push(writer.bytes());
  }
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
