import type fc from 'fast-check';
import type { DType } from '../src/index.ts';
import { arrayOf, drawn, integer, pick, type Random } from './arbitraries.ts';
import type { NDArray } from './reference/array.ts';

/** An equation of einsum with operands for it, and the same as lists of axes: '…0' is the last that '...' stands for. */
export interface DrawnEquation {
  equation: string;
  operands: NDArray[];
  axes: string[][];
  output: string[];
  extents: Map<string, number>;
}

const LETTERS = ['i', 'j', 'k', 'b', 'A', 'Z', 'x'];
/** Terms of the whole sum, which the reference walks one by one. */
const MOST_TERMS = 30_000;

const shuffled = <T>(list: readonly T[], random: Random): T[] =>
  list
    .map((item) => ({ item, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);

const spaced = (text: string, random: Random) => (random() < 0.2 ? ` ${text} ` : text);

function draw(random: Random, extentsFrom: readonly number[], dtypes: readonly DType[]): DrawnEquation {
  const count = pick(random, [1, 2, 2, 2, 3, 4]);
  const dots = random() < 0.4 ? integer(random, 0, 2) : 0;
  const extents = new Map<string, number>();
  let terms = 1;
  for (const axis of [...LETTERS, '…1', '…0']) {
    const extent = Math.min(pick(random, extentsFrom), Math.floor(MOST_TERMS / Math.max(1, terms)));
    extents.set(axis, extent);
    terms *= extent;
  }
  const axes: string[][] = [];
  const texts: string[] = [];
  for (let i = 0; i < count; i++) {
    const letters = shuffled(LETTERS, random).slice(0, integer(random, 0, 3));
    if (letters.length > 0 && random() < 0.2)
      letters.splice(integer(random, 0, letters.length), 0, pick(random, letters));
    const own = dots > 0 || random() < 0.1 ? integer(random, 0, dots) : 0;
    const at = integer(random, 0, letters.length);
    const stands = own > 0 || random() < 0.1;
    axes.push([...letters.slice(0, at), ...['…1', '…0'].slice(2 - own), ...letters.slice(at)]);
    texts.push(spaced([...letters.slice(0, at), ...(stands ? ['...'] : []), ...letters.slice(at)].join(''), random));
  }
  const operands = axes.map((own) => {
    const thin = new Set(own.filter(() => random() < 0.1));
    return arrayOf(
      own.map((axis) => (thin.has(axis) ? 1 : (extents.get(axis) as number))),
      random,
      undefined,
      pick(random, dtypes),
    );
  });
  // What none of them has at full width is 1 for all.
  for (const axis of extents.keys()) {
    const found = axes.flatMap((own, i) => operands[i].shape.filter((_, d) => own[d] === axis));
    extents.set(axis, found.find((extent) => extent !== 1) ?? 1);
  }
  const all = axes.flat();
  const dotted = ['…1', '…0'].filter((axis) => all.includes(axis));
  if (random() < 0.3) {
    const once = all.filter((axis) => !dotted.includes(axis) && all.indexOf(axis) === all.lastIndexOf(axis));
    const capitalsFirst = once.sort((a, b) => a.charCodeAt(0) - b.charCodeAt(0));
    return { equation: texts.join(','), operands, axes, output: [...dotted, ...capitalsFirst], extents };
  }
  const letters = shuffled(
    [...new Set(all)].filter((axis) => !dotted.includes(axis)),
    random,
  );
  const kept = letters.slice(0, integer(random, 0, Math.min(6, letters.length)));
  const at = integer(random, 0, kept.length);
  const stands = random() < 0.7;
  const right = [...kept.slice(0, at), ...(stands ? ['...'] : []), ...kept.slice(at)].join('');
  return {
    equation: `${texts.join(',')}->${spaced(right, random)}`,
    operands,
    axes,
    output: [...kept.slice(0, at), ...(stands ? dotted : []), ...kept.slice(at)],
    extents,
  };
}

export function equations({
  extents = [0, 1, 2, 2, 3, 3, 5, 7],
  dtypes = ['f32'],
}: {
  extents?: readonly number[];
  dtypes?: readonly DType[];
} = {}): fc.Arbitrary<DrawnEquation> {
  return drawn({ maxRank: 0 }, (_, random) => draw(random, extents, dtypes));
}
