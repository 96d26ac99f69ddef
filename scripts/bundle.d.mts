/** The repository's folder. */
export const root: string;
/** Where bundles are kept. */
export const caches: string;
export function bundle(entries: readonly string[]): Promise<Map<string, string>>;
export function keptBundle(entry: string): Promise<string | undefined>;
