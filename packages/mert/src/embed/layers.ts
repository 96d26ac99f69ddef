/** Which hidden states are wanted: all of them, their mean, or some by number. */
export type HiddenStateChoice = 'all' | 'mean' | readonly number[];

const expected = 'expected all, mean or a layer’s number from 0, or several: 3,6 or 4-8';

/** Beyond any model: what is written as a range is counted before there is one. */
const MOST_LAYERS = 9999;

/** What `--layers` says. @throws Error that says what it may say. */
export function parseLayers(text: string): HiddenStateChoice {
  if (text === 'all' || text === 'mean') return text;
  const layers = text.split(',').flatMap((part) => {
    const [, first, last] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part) ?? [];
    const [low, high] = [Number(first), Number(last ?? first)];
    if (first === undefined || high < low) throw new Error(`--layers ${text}: ${expected}`);
    if (high > MOST_LAYERS) throw new Error(`--layers ${text}: no model has a layer ${high}`);
    return Array.from({ length: high - low + 1 }, (_, i) => low + i);
  });
  if (new Set(layers).size !== layers.length) throw new Error(`--layers ${text}: a layer is named twice`);
  return layers;
}

/** The numbers of the layers that are wanted of `count`. @throws Error for those that there are not. */
export function layerIndices(choice: HiddenStateChoice, count: number): readonly number[] {
  if (choice === 'all' || choice === 'mean') return Array.from({ length: count }, (_, i) => i);
  if (!Array.isArray(choice))
    throw new TypeError(`layers: ${JSON.stringify(choice)}; expected 'all', 'mean' or numbers in an array`);
  if (choice.length === 0) throw new RangeError(`layers: none is named; ${expected}`);
  if (new Set(choice).size !== choice.length) throw new RangeError(`layers ${choice.join(', ')}: one is named twice`);
  const beyond = choice.find((layer) => !Number.isInteger(layer) || layer < 0 || layer >= count);
  if (beyond !== undefined) throw new Error(`layers ${beyond}: this model has layers 0 to ${count - 1}`);
  return choice;
}

/** Leading sizes of what is written: none for one layer and for the mean. */
export const layerShape = (choice: HiddenStateChoice, count: number): number[] =>
  choice === 'mean' || (choice !== 'all' && choice.length === 1) ? [] : [layerIndices(choice, count).length];
