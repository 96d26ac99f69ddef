import type { Tensor } from './tensor.ts';

const EDGE = 3;
const SUMMARISE_OVER = 8;

function formatNumber(value: number, dtype: Tensor['dtype']): string {
  if (dtype === 'bool') return value ? 'true' : 'false';
  if (Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(dtype === 'f16' ? 4 : 5)));
}

/** Nested rows, long axes cut to their first and last three. */
export function format(tensor: Tensor, data: ArrayLike<number>): string {
  const { shape, dtype } = tensor;
  const build = (d: number, at: number, size: number, indent: string): string => {
    if (d === shape.length) return formatNumber(data[at], dtype);
    const step = shape[d] === 0 ? 0 : size / shape[d];
    const show = (i: number) => build(d + 1, at + i * step, step, `${indent} `);
    const all = Array.from({ length: shape[d] }, (_, i) => i);
    const parts =
      shape[d] > SUMMARISE_OVER ? [...all.slice(0, EDGE).map(show), '…', ...all.slice(-EDGE).map(show)] : all.map(show);
    return `[${parts.join(d === shape.length - 1 ? ', ' : `,\n${indent} `)}]`;
  };
  return `${dtype}[${shape.join(', ')}] ${build(0, 0, data.length, '')}`;
}
