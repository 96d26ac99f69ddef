import { loadMeasured } from '#measured';
import type { AdapterDescription } from '../device/adapters.ts';

/**
 * Variants that won on adapters we have measured, by a part of their names: what a device takes before anything was
 * measured on the machine itself. Each entry is from `npm run bench -- tune` on that adapter.
 */
const table: readonly { readonly name: RegExp; readonly variants: Readonly<Record<string, string>> }[] = [];

/** What is known of this adapter: the table that comes with the package, and over it what was measured on this machine. */
export function knownVariants(adapter: AdapterDescription): Map<string, string> {
  const shipped = table
    .filter(({ name }) => name.test(adapter.name))
    .flatMap(({ variants }) => Object.entries(variants));
  return new Map([...shipped, ...loadMeasured(adapter)]);
}
