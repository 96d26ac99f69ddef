/**
 * Random programs of operations, run eagerly, compiled, and in f64 by the references of the operations' own tests; and
 * their gradients, eagerly, compiled and with recomputation.
 */
import { type AttributesOf, apply, compile, type OpName, scope, sum, type Tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { arrayOf, between, integer, pick, type Random, randomFrom, upload } from '../../tensor/test/arbitraries.ts';
import { opCases } from '../../tensor/test/cases/index.ts';
import '../../tensor/test/device.ts';
import type { NDArray } from '../../tensor/test/reference/array.ts';
import { checkpoint, valueAndGrad } from '../src/index.ts';

const PROGRAMS = Number(process.env.FUZZ_PROGRAMS ?? 60);
const FIRST = Number(process.env.FUZZ_FIRST ?? 1);

/** One operation of a program: which values it takes, by their numbers. */
interface Instruction {
  name: OpName;
  operands: number[];
  attributes: Record<string, unknown>;
}

interface Program {
  inputs: NDArray[];
  instructions: Instruction[];
  /** Every value in f64: the inputs, then what each instruction makes. */
  values: NDArray[];
}

/** Smooth functions with slopes around one: errors neither grow nor hide. */
const unary = ['tanh', 'sigmoid', 'sin', 'cos', 'gelu', 'erf', 'neg', 'elu'] as const;
const binary = ['add', 'sub', 'mul'] as const;

const isMatrix = ({ shape }: NDArray) => shape.length >= 2 && shape.every((extent) => extent > 0);

/** Draws an operation that fits the values there are. */
function draw(values: readonly NDArray[], random: Random): Instruction {
  const any = () => integer(random, 0, values.length - 1);
  const kind = pick(random, [
    'unary',
    'unary',
    'binary',
    'binary',
    'binary',
    'reduce',
    'softmax',
    'matmul',
    'view',
    'view',
    'concat',
    'dropout',
    'norm',
  ]);
  const at = random() < 0.6 ? values.length - 1 : any();
  const { shape } = values[at];
  const axis = shape.length > 0 ? integer(random, 0, shape.length - 1) : 0;
  if (kind === 'binary') {
    const fitting = values
      .map((_, i) => i)
      .filter((i) => {
        const other = values[i].shape;
        return (
          other.length <= shape.length && other.every((e, d) => e === 1 || e === shape[d + shape.length - other.length])
        );
      });
    const operands = [at, pick(random, fitting)];
    return { name: pick(random, binary), operands: random() < 0.5 ? operands : operands.reverse(), attributes: {} };
  }
  if (kind === 'reduce' && shape.length > 0 && shape[axis] > 0) {
    return {
      name: pick(random, ['mean', 'max', 'min'] as const),
      operands: [at],
      attributes: { axes: [axis], keepdim: random() < 0.5 },
    };
  }
  if (kind === 'softmax' && shape.length > 0) return { name: 'softmax', operands: [at], attributes: {} };
  if (kind === 'norm') {
    const vectors = values
      .map((_, i) => i)
      .filter((i) => values[i].shape.length === 1 && values[i].shape[0] === shape.at(-1));
    // A large eps: rows of one element, or of equal ones, have no variance to divide by.
    if (shape.length > 0 && vectors.length > 0)
      return {
        name: 'layerNorm',
        operands: [at, pick(random, vectors), pick(random, vectors)],
        attributes: { eps: 0.5 },
      };
  }
  if (kind === 'dropout')
    return { name: 'dropout', operands: [at], attributes: { p: 0.25, seed: integer(random, 0, 99), stream: 1 } };
  if (kind === 'concat' && shape.length > 0 && shape[axis] < 8)
    return { name: 'concat', operands: [at, at], attributes: { axis } };
  if (kind === 'matmul') {
    const rights = values
      .map((_, i) => i)
      .filter((i) => isMatrix(values[i]) && values[i].shape.length === 2 && values[i].shape[0] === shape.at(-1));
    if (isMatrix(values[at]) && rights.length > 0)
      return { name: 'matmul', operands: [at, pick(random, rights)], attributes: {} };
  }
  if (kind === 'view' && shape.length > 0) {
    const what = pick(random, ['permute', 'slice', 'expand']);
    if (what === 'permute') {
      const axes = shape.map((_, d) => d).sort(() => random() - 0.5);
      return { name: 'permute', operands: [at], attributes: { axes } };
    }
    if (what === 'slice' && shape[axis] > 1) {
      const start = integer(random, 0, shape[axis] - 1);
      return {
        name: 'slice',
        operands: [at],
        attributes: { axis, start, end: shape[axis], step: integer(random, 1, 2) },
      };
    }
    if (shape.length < 4) return { name: 'expand', operands: [at], attributes: { shape: [2, ...shape] } };
  }
  return { name: pick(random, unary), operands: [at], attributes: {} };
}

function drawProgram(seed: number): Program {
  const random = randomFrom(seed);
  // Multiples of four draw in products' kernels.
  const [m, n] = [integer(random, 1, 6), pick(random, [1, 2, 3, 4, 4, 5, 6, 8])];
  const shapes = [[m, n], [n, n], [n], pick(random, [[], [1], [m, 1], [2, m, n]])];
  const inputs = shapes.map((shape) => arrayOf(shape, random, between(-1.5, 1.5)));
  const values = [...inputs];
  const instructions: Instruction[] = [];
  const length = integer(random, 3, 14);
  while (instructions.length < length) {
    const instruction = draw(values, random);
    const operands = instruction.operands.map((i) => values[i]);
    const [out] = opCases[instruction.name].reference(operands, instruction.attributes as never);
    if (out.data.length > 600 || out.data.some((value) => Math.abs(value) > 20)) continue;
    instructions.push(instruction);
    values.push(out);
  }
  return { inputs, instructions, values };
}

function interpret({ instructions }: Program, inputs: readonly Tensor[]): Tensor[] {
  const values = [...inputs];
  for (const { name, operands, attributes } of instructions) {
    values.push(
      apply(
        name,
        operands.map((i) => values[i]),
        attributes as AttributesOf<OpName>,
      )[0],
    );
  }
  return values;
}

const describe = (seed: number, { instructions, values }: Program) =>
  `program ${seed}: ${instructions.map(({ name, operands, attributes }, i) => `v${values.length - instructions.length + i} = ${name}(${operands.map((o) => `v${o}`)}) ${JSON.stringify(attributes)}`).join('; ')}`;

/** A kink may be passed on different sides by values that differ in rounding alone; gradients of extremes are left out. */
const smooth = ({ instructions }: Program) => instructions.every(({ name }) => name !== 'max' && name !== 'min');

function assertClose(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  let scale = 1;
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]));
  for (let i = 0; i < expected.length; i++) {
    if (!(Math.abs(actual[i] - expected[i]) <= tolerance * scale))
      assert.unreachable(`${what}: element ${i} is ${actual[i]}, expected ${expected[i]}`);
  }
}

test(`${PROGRAMS} random programs agree eagerly, compiled and in f64`, async () => {
  for (let seed = FIRST; seed < FIRST + PROGRAMS; seed++) {
    const program = drawProgram(seed);
    const what = describe(seed, program);
    const inputs = program.inputs.map(upload);
    // Some of the values in between as well as the last one.
    const outputs = program.values
      .map((_, i) => i)
      .filter((i) => i >= inputs.length && (i === program.values.length - 1 || i % 3 === 0));
    const run = (given: Tensor[]) => {
      const values = interpret(program, given);
      return outputs.map((i) => values[i]);
    };
    const eager = scope(() => run(inputs));
    const compiled = compile(run);
    const fast = compiled(inputs);
    for (const [k, i] of outputs.entries()) {
      const [a, b] = [await eager[k].data(), await fast[k].data()];
      assert.equal([...eager[k].shape], [...program.values[i].shape], what);
      assertClose(`${what}: v${i} eager`, a, program.values[i].data, 2e-5);
      assertClose(`${what}: v${i} compiled beside eager`, b, a, 1e-6);
    }
    // Gradients of one program in four: three ways to the same numbers.
    if (seed % 4 === 0 && smooth(program)) {
      const loss = (given: readonly Tensor[]) => sum(interpret(program, given).at(-1) as Tensor).add(sum(given[0]));
      const gradients = (body: (given: Tensor[]) => Tensor) => (given: Tensor[]) =>
        valueAndGrad(() => body(given), given).gradients;
      const plain = gradients(loss)(inputs);
      const recomputed = valueAndGrad(
        () => checkpoint((...given: Tensor[]) => loss(given))(...inputs),
        inputs,
      ).gradients;
      const quick = compile(gradients(loss));
      const replayed = quick(inputs);
      for (let i = 0; i < inputs.length; i++) {
        const [a, b, c] = await Promise.all([plain[i].data(), recomputed[i].data(), replayed[i].data()]);
        assert.equal([...b], [...a], `${what}: gradient ${i} recomputed`);
        assertClose(`${what}: gradient ${i} compiled`, c, a, 2e-6);
      }
      for (const tensor of [...plain, ...recomputed, ...replayed]) if (!tensor.disposed) tensor.dispose();
      quick.dispose();
    }
    compiled.dispose();
    for (const tensor of new Set([...eager, ...fast, ...inputs])) if (!tensor.disposed) tensor.dispose();
  }
});

test.run();
