/** What every reader and writer of this package throws about a file: what was wrong, what was expected and what to do. */
export class FormatError extends Error {
  override name = 'FormatError';
}

/** A sound file of which this one array cannot be read, so that its neighbours still can. */
export class UnsupportedArray extends FormatError {}

/** Ends reading with a problem; the one who made it knows the file. */
export type Fail = (problem: string) => never;

/** A value from a file in a few characters, however large or deep it is. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shorten(value));
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof Map) return `a dictionary of ${value.size}`;
  if (Array.isArray(value)) {
    const items = value.slice(0, 8).map((item) => (typeof item === 'object' && item !== null ? '…' : describe(item)));
    return `[${items.join(',')}${value.length > items.length ? ',…' : ''}]`;
  }
  return typeof value === 'object' && value !== null ? 'an object' : shorten(String(value));
}

export function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
