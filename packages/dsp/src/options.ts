import { checkOptions } from '@dawnchorus/tensor';

const shown = (value: unknown): string => (typeof value === 'string' ? `'${value}'` : String(JSON.stringify(value)));

/** @throws RangeError when an option is none of the values there are: another would be taken for one of them unheard. */
export function checkChoice(operation: string, option: string, value: unknown, choices: readonly unknown[]): void {
  if (choices.includes(value)) return;
  const known = choices
    .map(shown)
    .join(', ')
    .replace(/, (?=[^,]*$)/, ' or ');
  throw new RangeError(`${operation}: ${option} is ${shown(value)}; expected ${known}`);
}

/** The power that magnitudes are taken to. @throws RangeError when it is not positive. */
export function checkPower(operation: string, power: number): void {
  if (power > 0 && power < Infinity) return;
  throw new RangeError(`${operation}: power is ${power}; expected a positive number, 1 for magnitudes, 2 for energies`);
}

/** Settings of spectra and of what is made of them. */
const ofSpectra = [
  ...['sampleRate', 'nFft', 'hopLength', 'winLength', 'window', 'center', 'padMode', 'normalized', 'power'],
  ...['nMels', 'fMin', 'fMax', 'scale', 'norm', 'binFrequencies', 'offset'],
  ...['nChroma', 'tuning', 'octaveCentre', 'octaveWidth', 'startAt', 'nMfcc'],
];

/**
 * As `checkOptions`, for functions of spectra: settings of the others may stand among the options, so that one object says all
 * of them.
 */
export function checkSettings(operation: string, options: object, own: readonly string[]): void {
  checkOptions(operation, options, [...own, ...ofSpectra.filter((name) => !own.includes(name))]);
}
