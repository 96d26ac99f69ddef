/**
 * TensorBoard's event files: records of TFRecord, each an Event of protocol buffers.
 * Source: tensorflow/core/lib/io/record_writer.h, core/util/event.proto and core/framework/summary.proto
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});

/** CRC-32C (Castagnoli). */
export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = table[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** As the format stores it, so that sums of sums are no trouble. */
export const maskedCrc = (bytes: Uint8Array): number => {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
};

/** A record with the checksums of its length and its bytes. */
function tfRecord(data: Uint8Array): Buffer {
  const record = Buffer.alloc(16 + data.length);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc(data), 12 + data.length);
  return record;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

const key = (field: number, wire: number) => varint(field * 8 + wire);
const integer = (field: number, value: number) => Buffer.from([...key(field, 0), ...varint(value)]);
const bytesField = (field: number, bytes: Uint8Array) =>
  Buffer.concat([Buffer.from([...key(field, 2), ...varint(bytes.length)]), bytes]);
const textField = (field: number, text: string) => bytesField(field, Buffer.from(text));

function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([Buffer.from(key(field, 1)), bytes]);
}

function float(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([Buffer.from(key(field, 5)), bytes]);
}

/** A picture as PNG. */
export interface EventImage {
  width: number;
  height: number;
  png: Uint8Array;
}

/** Numbers and pictures of a step. */
function encodeEvent(
  step: number,
  wallTime: number,
  scalars: Readonly<Record<string, number>>,
  images: Readonly<Record<string, EventImage>> = {},
): Buffer {
  const values = [
    ...Object.entries(scalars).map(([tag, value]) => Buffer.concat([textField(1, tag), float(2, value)])),
    ...Object.entries(images).map(([tag, { width, height, png }]) => {
      const image = Buffer.concat([integer(1, height), integer(2, width), integer(3, 3), bytesField(4, png)]);
      return Buffer.concat([textField(1, tag), bytesField(4, image)]);
    }),
  ];
  const summary = Buffer.concat(values.map((value) => bytesField(1, value)));
  return Buffer.concat([double(1, wallTime), integer(2, step), bytesField(5, summary)]);
}

/** An event file that grows. */
export interface EventFile {
  readonly path: string;
  /** Adds numbers and pictures of a step; the time is in seconds since 1970. */
  append(step: number, wallTime: number, scalars: Record<string, number>, images?: Record<string, EventImage>): void;
  /** Closes the file. */
  close(): void;
}

/** Starts an event file in a folder, named as TensorBoard expects. */
export function createEventFile(folder: string, wallTime = Date.now() / 1000): EventFile {
  const path = join(folder, `events.out.tfevents.${Math.floor(wallTime)}.${hostname()}.${process.pid}`);
  const descriptor = openSync(path, 'w');
  const write = (event: Buffer) => {
    const record = tfRecord(event);
    try {
      for (let at = 0; at < record.length; ) at += writeSync(descriptor, record, at);
    } catch (error) {
      // Node says of a descriptor that it cannot be written to, not what file it is of.
      throw Object.assign(error as NodeJS.ErrnoException, { path });
    }
  };
  write(Buffer.concat([double(1, wallTime), textField(3, 'brain.Event:2')]));
  return {
    path,
    append: (step, time, scalars, images) => write(encodeEvent(step, time, scalars, images)),
    close: () => closeSync(descriptor),
  };
}
