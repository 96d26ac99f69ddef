import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { type ElementArray, FormatError } from '../src/index.ts';
import '../../tensor/test/seed.ts';

/** A tensor as generate.py lists it: text for what JSON numbers cannot hold. */
export interface Listed {
  dtype: string;
  shape: number[];
  values: (number | string)[];
}

export const goldenPath = (name: string): string => fileURLToPath(new URL(`golden/${name}`, import.meta.url));

/** What NumPy, PyTorch or safetensors put into their files, by file. */
export const expected = JSON.parse(readFileSync(goldenPath('expected.json'), 'utf8'));

export function temporaryFile(): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'formats-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return (name) => join(folder, name);
}

/** The message of the FormatError that is due. */
export async function problemOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, FormatError, String(error));
    return (error as Error).message;
  }
  throw new Error('expected an error');
}

/** Compares bit by bit, but for NaN, whose bits are free. */
export function assertListed(
  found: { dtype: string; shape: readonly number[]; data: ElementArray },
  { dtype, shape, values }: Listed,
  name: string,
): void {
  assert.equal({ dtype: found.dtype, shape: [...found.shape] }, { dtype, shape }, name);
  assert.is(found.data.length, values.length, name);
  const big = found.data instanceof BigInt64Array || found.data instanceof BigUint64Array;
  for (const [i, value] of values.entries()) {
    const number =
      value === 'inf' ? Number.POSITIVE_INFINITY : value === '-inf' ? Number.NEGATIVE_INFINITY : Number(value);
    const due = big ? BigInt(value) : found.data instanceof Float32Array ? Math.fround(number) : number;
    assert.ok(Object.is(found.data[i], due), `${name}: ${found.data[i]} at ${i}, expected ${due}`);
  }
}
