/**
 * The part of the Protocol Buffers wire format that ONNX files need: numbered fields that hold a varint, 32 bits, or
 * bytes with their length in front. Source: https://protobuf.dev/programming-guides/encoding
 */

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

const utf8 = new TextEncoder();

/** Seven bits a byte, the lowest first; negative numbers as 64-bit two's complement. */
function varint(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}

/** A message under construction. Fields are numbered; a field that is written twice is a repeated one. */
export class Message {
  /** The encoded bytes, in parts, so that large data need not be copied into one array. */
  readonly chunks: Uint8Array[] = [];
  length = 0;

  #push(bytes: Uint8Array): void {
    this.chunks.push(bytes);
    this.length += bytes.length;
  }

  int(field: number, value: number | bigint): this {
    this.#push(Uint8Array.from([...varint((field << 3) | VARINT), ...varint(value)]));
    return this;
  }

  float(field: number, value: number): this {
    const bytes = new DataView(new ArrayBuffer(4));
    bytes.setFloat32(0, value, true);
    this.#push(Uint8Array.from([...varint((field << 3) | FIXED32), ...new Uint8Array(bytes.buffer)]));
    return this;
  }

  string(field: number, text: string): this {
    return this.bytes(field, utf8.encode(text));
  }

  /** @param bytes are kept, not copied. */
  bytes(field: number, bytes: Uint8Array): this {
    this.#open(field, bytes.length);
    this.#push(bytes);
    return this;
  }

  message(field: number, inner: Message): this {
    this.#open(field, inner.length);
    for (const chunk of inner.chunks) this.#push(chunk);
    return this;
  }

  #open(field: number, length: number): void {
    this.#push(Uint8Array.from([...varint((field << 3) | LENGTH_DELIMITED), ...varint(length)]));
  }
}
