import type { FoundAdapter } from './adapters.ts';

/** Stands in for dawn.ts in browser bundles, where `navigator.gpu` is the only way to a GPU. */
export async function findDawnAdapter(): Promise<FoundAdapter> {
  throw new Error('openDevice: this bundle was built for browsers; in Node, import the package itself');
}

/** Browsers collect on their own. */
export function collectGarbage(): void {}
