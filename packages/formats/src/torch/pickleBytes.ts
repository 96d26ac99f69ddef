import type { Fail } from '../error.ts';

/** Bytes of a whole number. Python's have no limit, and converting one takes time quadratic in it. */
const maxIntegerBytes = 1024;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The arguments of a pickle's instructions, one behind the other. Nothing is taken that is not there. */
export class PickleBytes {
  readonly length: number;
  /** Where the next one begins. */
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fail: Fail;

  constructor(bytes: Uint8Array, fail: Fail) {
    this.length = bytes.length;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fail = fail;
  }

  uint8(): number {
    return this.#bytes[this.#take(1)];
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A length of 8 bytes. */
  uint64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true));
  }

  /** Big-endian, other than everything else. */
  float64(): number {
    return this.#view.getFloat64(this.#take(8));
  }

  integer(length: number): number | bigint {
    if (length > maxIntegerBytes) {
      this.#fail(`its pickle has a whole number of ${length} bytes, at most ${maxIntegerBytes} are read`);
    }
    const digits = this.#bytes.subarray(this.#take(length), this.at);
    const bits = 8 * length;
    if (bits <= 48) {
      let sum = 0;
      for (let i = length - 1; i >= 0; i--) sum = 256 * sum + digits[i];
      return length > 0 && digits[length - 1] > 127 ? sum - 2 ** bits : sum;
    }
    const hex = (): string =>
      Array.from(digits, (byte) => byte.toString(16).padStart(2, '0'))
        .reverse()
        .join('');
    const value = length === 8 ? this.#view.getBigInt64(this.at - 8, true) : BigInt.asIntN(bits, BigInt(`0x${hex()}`));
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  text(length: number): string {
    const begin = this.#take(length);
    try {
      return decoder.decode(this.#bytes.subarray(begin, this.at));
    } catch {
      return this.#fail(`the text at byte ${begin} of its pickle is not UTF-8`);
    }
  }

  /** Text up to a newline, which is taken, too. */
  line(): string {
    const end = this.#bytes.indexOf(10, this.at);
    const result = this.text((end < 0 ? this.length : end) - this.at);
    this.#take(1);
    return result;
  }

  binary(length: number): Uint8Array {
    return this.#bytes.slice(this.#take(length), this.at);
  }

  #take(count: number): number {
    if (count > this.length - this.at) {
      this.#fail(`its pickle needs ${count} bytes at ${this.at}, but ends at ${this.length}`);
    }
    this.at += count;
    return this.at - count;
  }
}
