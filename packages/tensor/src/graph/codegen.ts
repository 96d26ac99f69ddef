import { type DType, isFloat, literalText, wgslType } from '../dtype.ts';
import type { Storage } from '../memory/storage.ts';
import { streamWords } from '../ops/op.ts';
import { collapse, contiguousStrides, type Shape, sameShape, sizeOf } from '../shape.ts';
import { isWhole, type Step, type View, viewName } from './optimize.ts';

/** The index into a strided view of the i-th element of `shape` in row-major order. */
function indexText(shape: Shape, strides: readonly number[], i: string): string {
  const merged = collapse(shape, strides);
  const terms: string[] = [];
  let inner = 1;
  for (let d = merged.shape.length - 1; d >= 0; d--) {
    const extent = merged.shape[d];
    const stride = merged.strides[0][d];
    if (stride !== 0) {
      const quotient = inner === 1 ? i : `${i} / ${inner}u`;
      const coordinate = d === 0 ? quotient : `(${quotient}) % ${extent}u`;
      terms.push(stride === 1 ? coordinate : `(${coordinate}) * ${stride}u`);
    }
    inner *= extent;
  }
  return terms.length === 0 ? '0u' : terms.join(' + ');
}

/** Strides of a view stretched over the output of the operation that reads it. */
function stretched(view: View, target: Shape): number[] {
  const lead = target.length - view.shape.length;
  return target.map((extent, d) =>
    d < lead || (view.shape[d - lead] === 1 && extent !== 1) ? 0 : view.strides[d - lead],
  );
}

/** A view that holds every element of its storage once, in another order: the order, for `indexIn`. */
export interface Order {
  readonly shape: Shape;
  readonly strides: readonly number[];
}

/** The order in which a view walks its storage from the start, where it meets each element once; undefined elsewhere. */
export function orderOf({ shape, strides, offset }: View): Order | undefined {
  const merged = collapse(shape, strides);
  const own = merged.strides[0];
  const axes = merged.shape.map((_, d) => d).sort((a, b) => own[b] - own[a]);
  let inner = 1;
  for (const d of axes.toReversed()) {
    if (own[d] !== inner) return undefined;
    inner *= merged.shape[d];
  }
  return offset === 0 ? { shape: merged.shape, strides: own } : undefined;
}

export function sameOrder(a: Order, b: Order): boolean {
  return sameShape(a.shape, b.shape) && sameShape(a.strides, b.strides);
}

/** How far along its order a view meets the element at `at` of the storage. */
export function indexIn({ shape, strides }: Order, at: string): string {
  const axes = shape.map((_, d) => d).sort((a, b) => strides[b] - strides[a]);
  const along = contiguousStrides(shape);
  return indexText(
    axes.map((d) => shape[d]),
    axes.map((d) => along[d]),
    at,
  );
}

/** How a kernel names what joined operations take from outside. */
export interface Names {
  /** An element of one of `reads`. */
  element(read: number, index: string): string;
  /** One of `words`. */
  word(at: number): string;
  /** A zero that compilers do not know for one. */
  zero(): string;
}

/**
 * A number that compilers of WGSL know nothing of. They may reckon as if numbers were real and finite: x + 1e6 - 1e6
 * becomes x, x - x and x * 0 become 0. Between kernels memory keeps them from it, within one this does.
 */
function apart(value: string, dtype: DType, names: Names): string {
  const single = dtype === 'f16' ? `f32(${value})` : value;
  const text = `bitcast<f32>(bitcast<u32>(${single}) | ${names.zero()})`;
  return dtype === 'f16' ? `f16(${text})` : text;
}

/** What joined elementwise operations read, and the WGSL that computes them for element i. */
export interface Body {
  /** Distinct tensors that come from memory. */
  readonly reads: readonly View[];
  /** Numbers that differ between kernels that are otherwise the same: seeds. */
  readonly words: readonly number[];
  /** One WGSL function for each distinct operation, and variables. */
  readonly functions: string;
  /** Statements that define a value for each operation. */
  lines(names: Names): string[];
  /** Statements that draw random numbers for the elements from `at` on, a multiple of four. */
  draws(names: Names): string[];
  /** The WGSL name of the value that a storage would hold. */
  readonly values: ReadonlyMap<Storage, string>;
}

/**
 * @param prefix tells the names of one body from those of another in the same kernel; `v` where there is no other and no
 *   operation with a kernel of its own.
 * @param given names of values that exist already: what a kernel emits.
 */
export function bodyOf(steps: readonly Step[], prefix: string, given: ReadonlyMap<Storage, string> = new Map()): Body {
  const values = new Map<Storage, string>(given);
  const reads: View[] = [];
  const words: number[] = [];
  const readNames = new Map<string, number>();
  const functions = new Map<string, string>();
  const variables: string[] = [];
  type Operand = (names: Names) => string;
  const parts: { value: string; call: string; operands: Operand[]; rounded: boolean }[] = [];
  const alone = steps.length === 1 && prefix === 'v';
  const draws: Operand[] = [];

  function operandOf(view: View, target: Shape): Operand {
    if (view.literal !== undefined) {
      const text = literalText(view.literal, view.dtype);
      return () => text;
    }
    const value = values.get(view.storage);
    if (value !== undefined) {
      const emitted = given.has(view.storage) && view.dtype === 'f32';
      return emitted ? (names) => apart(value, 'f32', names) : () => value;
    }
    const key = viewName(view);
    let read = readNames.get(key);
    if (read === undefined) {
      read = reads.length;
      readNames.set(key, read);
      reads.push(view);
    }
    const at = read;
    const index = indexText(target, stretched(view, target), 'i');
    return ({ element }) => element(at, index);
  }

  for (const [k, step] of steps.entries()) {
    const [out] = step.outputs;
    const stream = step.op.draws?.(step.node.attributes);
    // The second operand of what draws is no element, but the number of the step.
    const taken = stream ? step.inputs.slice(0, 1) : step.inputs;
    const types = taken.map(({ dtype }) => wgslType[dtype]);
    const result = wgslType[out.dtype];
    const [a, b = a, c = a] = types;
    const replaced: Record<string, string> = { A: a, B: b, C: c, Result: result };
    const text = (step.op.map as NonNullable<typeof step.op.map>)(step.inputs, step.node.attributes).replace(
      /\b(A|B|C|Result)\b/g,
      (name) => replaced[name] ?? name,
    );
    const parameters = types.map((type, i) => `${'abc'[i]}: ${type}`);
    if (stream) parameters.push('draw: f32');
    const signature = `(${parameters.join(', ')}) -> ${result} { ${text} }`;
    let name = functions.get(signature);
    if (!name) functions.set(signature, (name = `${prefix}Operation${functions.size}`));
    const operands = taken.map((view, k): Operand => {
      const operand = operandOf(view, out.shape);
      const { literal, storage, dtype } = view;
      const again = taken.slice(0, k).some((other) => literal === undefined && other.storage === storage);
      const vanishing = literal === 0 && (step.node.name === 'mul' || step.node.name === 'div');
      return isFloat(dtype) && (again || vanishing) ? (names) => apart(operand(names), dtype, names) : operand;
    });
    if (stream) {
      const four = `${prefix}Draws${draws.length}`;
      const first = words.length;
      words.push(...streamWords(stream));
      variables.push(`var<private> ${four}: vec4<f32>;`);
      const number = step.inputs[1] && operandOf(step.inputs[1], []);
      draws.push((names) => {
        const pair = (at: number) => `vec2<u32>(${names.word(at)}, ${names.word(at + 1)})`;
        const own = pair(first + 2);
        const stepped = number ? `streamOfStep(${own}, ${number(names)})` : own;
        return `  ${four} = drawBlock(at / 4u, ${pair(first)}, ${stepped});`;
      });
      operands.push(() => `${four}[i & 3u]`);
    }
    const value = `${prefix}${k}`;
    values.set(out.storage, value);
    // In f16 drivers may keep the digits of f32.
    parts.push({ value, call: name, operands, rounded: out.dtype === 'f32' && !alone });
  }
  return {
    reads,
    words,
    values,
    functions: [...variables, ...[...functions].map(([signature, name]) => `fn ${name}${signature}`)].join('\n'),
    draws: (names) => draws.map((draw) => draw(names)),
    lines: (names) =>
      parts.map(({ value, call, operands, rounded }) => {
        const result = `${call}(${operands.map((operand) => operand(names)).join(', ')})`;
        return `  let ${value} = ${rounded ? apart(result, 'f32', names) : result};`;
      }),
  };
}

/** Whether a read walks the same elements as the output, so that it may be overwritten in place. */
export function readsInStep(steps: readonly Step[], storage: Storage): boolean {
  return steps.every((step) =>
    step.inputs.every(
      (view) =>
        view.storage !== storage ||
        view.literal !== undefined ||
        (isWhole(view) && sizeOf(view.shape) === sizeOf(step.outputs[0].shape)),
    ),
  );
}
