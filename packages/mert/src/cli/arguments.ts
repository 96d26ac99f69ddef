import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';

const repositoryMusic = fileURLToPath(new URL('../../../../data/music', import.meta.url));

/** The music that comes along with the repository: train/ and valid/. @throws Error in an installed package, which has none. */
export function bundledMusic(): string {
  if (!existsSync(repositoryMusic)) {
    throw new Error(
      'there is no --data, and the music that comes along is in the repository alone, not in its packages; ' +
        'give --data, a folder of music (wav, flac, mp3, ogg, opus)',
    );
  }
  return repositoryMusic;
}

/** What an option says as a whole number. @throws InvalidArgumentError when it is none, or less or more than these. */
export function wholeNumber(text: string, least: number, most = Number.POSITIVE_INFINITY): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < least || value > most) {
    throw new InvalidArgumentError(
      `expected a whole number from ${least}${Number.isFinite(most) ? ` to ${most}` : ''}.`,
    );
  }
  return value;
}

export const fromZero = (text: string): number => wholeNumber(text, 0);
/** Threads, each with a cache and a decoder of its own. */
export const threads = (text: string): number => wholeNumber(text, 0, 256);
export const fromOne = (text: string): number => wholeNumber(text, 1);

function finiteNumber(text: string, isValid: (value: number) => boolean, expected: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || !isValid(value)) throw new InvalidArgumentError(expected);
  return value;
}

export const aboveZero = (text: string): number =>
  finiteNumber(text, (value) => value > 0, 'expected a number above 0.');
export const seconds = (text: string): number =>
  finiteNumber(text, (value) => value >= 0, 'expected seconds, 0 or more.');

export const share = (text: string): number =>
  finiteNumber(text, (value) => value > 0 && value < 1, 'expected a number between 0 and 1.');

/** One of several words. @throws Error that names the option and what it may say. */
export function oneOf<T extends string>(option: string, value: string, known: readonly T[]): T {
  if (!(known as readonly string[]).includes(value)) {
    const last = known.at(-1);
    throw new Error(`${option} ${value}: expected ${known.slice(0, -1).join(', ')} or ${last}`);
  }
  return value as T;
}

/** For options that may be given more than once. */
export const collect = (value: string, previous: string[] = []): string[] => [...previous, value];

/** Has all commands refuse an option that is given twice, of which the first would be lost, unless it collects. */
export function refuseRepeats(command: Command): void {
  for (const option of command.options) {
    if (option.parseArg === collect) {
      // The help need not say that nothing was collected yet.
      option.defaultValue = undefined;
    } else if (option.required || option.optional) {
      let given = false;
      command.on(`option:${option.name()}`, () => {
        if (given) command.error(`error: option '${option.flags}' is given twice; give it once`);
        given = true;
      });
    }
  }
  for (const child of command.commands) refuseRepeats(child);
}

interface ConfigChoice {
  config?: string;
  set: string[];
  seed?: number;
}

/** The configuration: a file or preset, then --set, then --seed. */
export function configSource({ config = 'small', set, seed }: ConfigChoice, presets: readonly string[]) {
  // A bare word that is no file was meant as a preset, and gets the list of those.
  const named = presets.includes(config) || (/^[\w-]+$/.test(config) && !existsSync(config));
  const source = named ? { preset: config } : { file: config };
  return { ...source, set: seed === undefined ? set : [...set, `training.seed=${seed}`] };
}
