import { broadcastShapes, formatShape, type Shape } from '../shape.ts';

/** Letters name axes. An axis that '...' stands for is named by its place from the last of them: '0', '1', … */
export interface Equation {
  readonly operands: readonly (readonly string[])[];
  readonly output: readonly string[];
  readonly extents: ReadonlyMap<string, number>;
}

const DOTS = '...';

/** One operand's letters, and DOTS where there are dots. */
function symbols(equation: string, term: string): string[] {
  const list = term.match(/\.\.\.|[A-Za-z]|\S/g) ?? [];
  const wrong = list.find((symbol) => symbol !== DOTS && !/[A-Za-z]/.test(symbol));
  if (wrong) {
    throw new RangeError(
      `einsum: '${wrong}' in '${equation}' is no letter; expected letters and '...', as in '...ij,jk->...ik'`,
    );
  }
  if (list.filter((symbol) => symbol === DOTS).length > 1) {
    throw new RangeError(`einsum: '...' stands twice in '${term.trim()}' of '${equation}'`);
  }
  return list;
}

/** The names of an operand's axes. */
function axesOf(equation: string, list: readonly string[], shape: Shape, i: number): string[] {
  const letters = list.filter((symbol) => symbol !== DOTS).length;
  const dots = list.includes(DOTS);
  if (dots ? letters > shape.length : letters !== shape.length) {
    const named = `names ${letters} ${letters === 1 ? 'axis' : 'axes'}${dots ? " beside '...'" : ''}`;
    throw new RangeError(
      `einsum: '${list.join('')}' in '${equation}' ${named}, but operand ${i} is ${formatShape(shape)} with ${shape.length}`,
    );
  }
  const others = shape.length - letters;
  return list.flatMap((symbol) => (symbol === DOTS ? dotted(others) : symbol));
}

const dotted = (count: number): string[] => Array.from({ length: count }, (_, i) => String(count - 1 - i));
const isDotted = (axis: string) => /\d/.test(axis);

/** The extent of every axis: what all operands agree on, or all of them that do not have 1. */
function extentsOf(equation: string, operands: readonly (readonly string[])[], shapes: readonly Shape[]) {
  const found = new Map<string, { extent: number; operand: number }>();
  const differ = (axis: string, one: number, i: number, other: number, j: number) => {
    const where = i === j ? `both in operand ${i}` : `in operand ${i} and ${other} in operand ${j}`;
    return new RangeError(
      `einsum: '${axis}' of '${equation}' is ${one} ${i === j ? `and ${other}, ` : ''}${where}; the shapes are ${shapes.map(formatShape).join(' and ')}`,
    );
  };
  operands.forEach((axes, i) => {
    axes.forEach((axis, d) => {
      const own = shapes[i][d];
      const first = shapes[i][axes.indexOf(axis)];
      // A diagonal stretches nothing.
      if (first !== own) throw differ(axis, first, i, own, i);
      const before = found.get(axis);
      if (before && before.extent !== 1 && own !== 1 && before.extent !== own) {
        // For axes without a letter the rule of broadcasting says it better.
        if (!isDotted(axis)) throw differ(axis, before.extent, before.operand, own, i);
        const stretched = operands.map((names, o) => shapes[o].filter((_, at) => isDotted(names[at])));
        broadcastShapes(`einsum: '...' of '${equation}'`, ...stretched);
      }
      if (!before || own !== 1) found.set(axis, { extent: own, operand: i });
    });
  });
  return new Map([...found].map(([axis, { extent }]) => [axis, extent]));
}

/** Without '->': what '...' stands for, then the letters that occur once, in the order of their codes. */
function implied(lists: readonly (readonly string[])[], dots: readonly string[]): string[] {
  const letters = lists.flat().filter((symbol) => symbol !== DOTS);
  const once = letters.filter((letter) => letters.indexOf(letter) === letters.lastIndexOf(letter));
  return [...dots, ...once.sort()];
}

/**
 * Reads an equation for operands of these shapes.
 *
 * @throws RangeError for whatever is wrong with it.
 */
export function parseEquation(equation: string, shapes: readonly Shape[]): Equation {
  const [left, right, ...more] = equation.split('->');
  if (more.length > 0) throw new RangeError(`einsum: '->' stands twice in '${equation}'`);
  const lists = left.split(',').map((term) => symbols(equation, term));
  if (lists.length !== shapes.length) {
    throw new RangeError(
      `einsum: '${equation}' is for ${lists.length} ${lists.length === 1 ? 'operand' : 'operands'}, but ${shapes.length} came`,
    );
  }
  const operands = lists.map((list, i) => axesOf(equation, list, shapes[i], i));
  const extents = extentsOf(equation, operands, shapes);
  const dots = dotted(Math.max(...operands.map((axes) => axes.filter(isDotted).length)));
  if (right === undefined) return { operands, output: implied(lists, dots), extents };
  const wanted = symbols(equation, right);
  for (const [at, symbol] of wanted.entries()) {
    if (symbol === DOTS) continue;
    if (wanted.indexOf(symbol) !== at)
      throw new RangeError(`einsum: '${symbol}' stands twice in the output of '${equation}'`);
    if (!extents.has(symbol))
      throw new RangeError(`einsum: '${symbol}' in the output of '${equation}' is in no operand`);
  }
  return { operands, output: wanted.flatMap((symbol) => (symbol === DOTS ? dots : symbol)), extents };
}
