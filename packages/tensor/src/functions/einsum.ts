import { checkTensors } from '../ops/arguments.ts';
import { MAX_RANK, valueText } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { diagonal } from './arranging.ts';
import { axesLeft, checkRank, contract, inOrder, type Named } from './contract.ts';
import { type Equation, parseEquation } from './einsum-equation.ts';
import { sum } from './reductions.ts';
import { reshape } from './views.ts';

/** Each axis named once: those with one name become their diagonal, and those of extent 1 go. */
function simplified(x: Tensor, names: readonly string[]): Named {
  let axes = [...names];
  let view = x;
  for (let d = 0; d < axes.length; ) {
    const twin = axes.indexOf(axes[d], d + 1);
    if (twin < 0) {
      d++;
      continue;
    }
    view = diagonal(view, { dim1: d, dim2: twin });
    axes = [...axes.filter((_, i) => i !== d && i !== twin), axes[d]];
  }
  const wide = (_: unknown, d: number) => view.shape[d] !== 1;
  return { x: reshape(view, view.shape.filter(wide)), axes: axes.filter(wide) };
}

/** Sums over the axes that nothing else needs. */
function reduced({ x, axes }: Named, needed: readonly string[]): Named {
  const gone = axes.flatMap((axis, d) => (needed.includes(axis) ? [] : [d]));
  if (gone.length === 0) return { x, axes };
  return { x: sum(x, { dim: gone }), axes: axes.filter((axis) => needed.includes(axis)) };
}

interface Pair {
  i: number;
  j: number;
  /** Products of elements, then elements that come out. */
  cost: readonly [number, number];
}

/** The two whose product takes the fewest multiplications, of equals the one with the smaller result. */
function cheapestPair(operands: readonly Named[], { output, extents }: Equation): Pair {
  const sizeOf = (axes: Iterable<string>) => [...axes].reduce((size, axis) => size * (extents.get(axis) as number), 1);
  let best: Pair | undefined;
  let fewest = Number.POSITIVE_INFINITY;
  for (let j = 1; j < operands.length; j++) {
    for (let i = 0; i < j; i++) {
      const [a, b] = [operands[i].axes, operands[j].axes];
      const left = axesLeft(a, b, stillNeeded(operands, i, j, output));
      fewest = Math.min(fewest, left.length);
      if (left.length > MAX_RANK) continue;
      const cost = [sizeOf(new Set([...a, ...b])), sizeOf(left)] as const;
      if (!best || cost[0] < best.cost[0] || (cost[0] === best.cost[0] && cost[1] < best.cost[1]))
        best = { i, j, cost };
    }
  }
  if (!best) checkRank('einsum', fewest, 'a product on the way');
  return best as Pair;
}

/** The axes of the output and, in front of it, of the operands other than i and j. */
function stillNeeded(operands: readonly Named[], i: number, j: number, output: readonly string[]): string[] {
  const others = operands.filter((_, at) => at !== i && at !== j).flatMap(({ axes }) => axes);
  return [...new Set([...output, ...others])];
}

/**
 * Einstein's sums: the letters name the axes of each operand, and products are summed over those that the output does not
 * name.
 *
 *     einsum('ij,jk->ik', a, b)               a product of matrices
 *     einsum('bqhd,bkhd->bhqk', query, key)   scores of attention
 *     einsum('ii->i', a), einsum('ii', a)     the diagonal, and its sum
 *     einsum('...ij->...ji', x)               a transpose of the last two axes
 *     einsum('i,ij,j->', x, a, y)             a bilinear form
 *
 * '...' stands for any number of axes, which broadcast; where the output leaves them out, they are summed over. An axis of
 * extent 1 stretches to its letter's extent in another operand. Without '->' the output is '...' and the letters that occur
 * once, in alphabetical order, capitals first: NumPy's and PyTorch's rules. Spaces mean nothing.
 *
 * Several operands are multiplied pair by pair, the pair with the fewest multiplications first, each as one batched product
 * of matrices where something is summed. Results of pairs are f16 where both operands are; sums are in f32. Whole numbers
 * stay whole, with elementwise products in memory; booleans are counted.
 *
 * @param equation the letters of each operand, separated by commas, then perhaps '->' and those of the output.
 * @throws RangeError when the equation is malformed, does not fit the shapes (naming the letter and both extents), or needs
 * more than 8 axes.
 */
export function einsum(equation: string, ...tensors: Tensor[]): Tensor {
  if (typeof equation !== 'string') {
    throw new TypeError(
      `einsum: the equation is ${valueText(equation)}; expected text in front of the tensors, as in einsum('ij,jk->ik', a, b)`,
    );
  }
  checkTensors('einsum', tensors, 'give them one by one');
  const parsed = parseEquation(
    equation,
    tensors.map((x) => x.shape),
  );
  const { output, extents } = parsed;
  checkRank('einsum', output.length);
  let operands = tensors.map((x, i) => simplified(x, parsed.operands[i]));
  operands = operands.map((own, i) => reduced(own, stillNeeded(operands, i, i, output)));
  while (operands.length > 1) {
    const { i, j } = cheapestPair(operands, parsed);
    const made = contract(operands[i], operands[j], stillNeeded(operands, i, j, output));
    operands = [made, ...operands.filter((_, at) => at !== i && at !== j)];
  }
  const [result] = operands;
  const wide = output.filter((axis) => result.axes.includes(axis));
  const ordered = inOrder(result, wide);
  const shape = output.map((axis) => extents.get(axis) as number);
  return reshape(ordered, shape);
}
