import type { Device } from '@dawnchorus/tensor';
import { isLarge } from './cases/index.ts';
import { UsageError } from './options.ts';
import { type Case, keyOf } from './work.ts';

/** What of an adapter decides which cases it can run. */
export type Abilities = Pick<Device, 'features' | 'limits'> & { adapter: Pick<Device['adapter'], 'software'> };

/**
 * The cases that this adapter can run and, where it is a software one, that it runs without waiting for long. `log` hears
 * what is left out and why.
 *
 * @throws UsageError when none is left.
 */
export function casesFor(
  { features, limits, adapter }: Abilities,
  cases: readonly Case[],
  { large, log }: { large: boolean; log: (line: string) => void },
): Case[] {
  const binding = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  const reasons: [string, (each: Case) => boolean][] = [
    [
      'need shader-f16, which this adapter does not have',
      ({ dtype }) => dtype === 'f16' && !features.has('shader-f16'),
    ],
    ['take long on a software adapter; --large runs them', (each) => adapter.software && !large && isLarge(each)],
    [`have tensors of more than the ${binding} bytes that this adapter binds`, ({ largest }) => largest > binding],
  ];
  let left = [...cases];
  for (const [reason, applies] of reasons) {
    const out = left.filter(applies);
    left = left.filter((each) => !applies(each));
    if (out.length > 0 && left.length === 0) throw new UsageError(`bench: ${shown(out)} ${reason}`);
    if (out.length > 0) log(`left out: ${shown(out)} ${reason}`);
  }
  return left;
}

const shown = (cases: readonly Case[]) =>
  cases.length > 4 ? `${cases.length} cases (${keyOf(cases[0])}, …)` : cases.map(keyOf).join(', ');
