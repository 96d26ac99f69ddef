import { readFileSync } from 'node:fs';
import '../../tensor/test/seed.ts';

/** The arrays of a safetensors file in golden/, each as the typed array of its dtype. */
export function golden(file: string): Map<string, Float32Array | Float64Array | Int32Array> {
  const bytes = readFileSync(new URL(`golden/${file}.safetensors`, import.meta.url));
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header: Record<string, { dtype: 'F32' | 'F64' | 'I32'; data_offsets: [number, number] }> = JSON.parse(
    bytes.subarray(8, start).toString(),
  );
  const types = { F32: Float32Array, F64: Float64Array, I32: Int32Array };
  const { __metadata__, ...arrays } = header;
  return new Map(
    Object.entries(arrays).map(
      ([
        name,
        {
          dtype,
          data_offsets: [from, to],
        },
      ]) => {
        const data = bytes.buffer.slice(bytes.byteOffset + start + from, bytes.byteOffset + start + to) as ArrayBuffer;
        return [name, new types[dtype](data)];
      },
    ),
  );
}

/** The largest |a - b| over the largest |b|. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`);
  let error = 0;
  let largest = 0;
  for (let i = 0; i < b.length; i++) {
    // NaN must not pass: Math.max hands it on.
    error = Math.max(error, Math.abs(a[i] - b[i]));
    largest = Math.max(largest, Math.abs(b[i]));
  }
  return largest === 0 ? error : error / largest;
}
