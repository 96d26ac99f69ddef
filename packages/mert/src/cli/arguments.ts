import { InvalidArgumentError } from 'commander';

/** What an option says as a whole number. @throws InvalidArgumentError when it is none, or less than `least`. */
export function wholeNumber(text: string, least: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < least) {
    throw new InvalidArgumentError(`expected a whole number from ${least}.`);
  }
  return value;
}

export const fromZero = (text: string): number => wholeNumber(text, 0);
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
