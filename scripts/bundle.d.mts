/** The repository's folder. */
export const root: string;
export function bundle(entries: readonly string[]): Promise<Map<string, string>>;
export function keptBundle(entry: string): Promise<string>;
