import type { Kernel } from '@dawnchorus/kernels';
import { type DType, wgslType } from '../dtype.ts';
import { float16Bits, float16Value } from '../half.ts';
import type { Storage } from '../memory/storage.ts';
import { collapse, type Shape, sizeOf } from '../shape.ts';
import { viewName } from './fuse.ts';
import { isWhole, type Step, type View } from './optimize.ts';

/** The library of elementwise functions makes what no literal can say. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return 'someNan(0.0)';
  if (!Number.isFinite(value)) return `${value < 0 ? '-' : ''}infinity(0.0)`;
  return Object.is(value, -0) ? 'bitcast<f32>(0x80000000u)' : `f32(${value})`;
}

/** WGSL for a number. */
function literalText(value: number, dtype: DType): string {
  if (dtype === 'i32') return `bitcast<i32>(${value >>> 0}u)`;
  if (dtype === 'u32') return `${value >>> 0}u`;
  if (dtype === 'bool') return value ? '1u' : '0u';
  // Rounded here, to nearest: compilers of WGSL may cut instead.
  const rounded = dtype === 'f16' ? float16Value(float16Bits(value)) : Math.fround(value);
  const text = floatText(rounded);
  return dtype === 'f16' ? `f16(${text})` : text;
}

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

/** What joined elementwise operations read, and the WGSL that computes them for element i. */
export interface Body {
  /** Distinct tensors that come from memory. */
  readonly reads: readonly View[];
  /** One WGSL function for each distinct operation. */
  readonly functions: string;
  /** Statements that define a value for each operation, given the names of the bindings. */
  lines(nameOf: (read: number) => string, offsetOf: (read: number) => string): string[];
  /** The WGSL name of the value that a storage would hold. */
  readonly values: ReadonlyMap<Storage, string>;
}

/** @param given names of values that exist already: what a kernel emits. */
export function bodyOf(steps: readonly Step[], given: ReadonlyMap<Storage, string> = new Map()): Body {
  const values = new Map<Storage, string>(given);
  const reads: View[] = [];
  const readNames = new Map<string, number>();
  const functions = new Map<string, string>();
  const parts: { value: string; call: string; operands: (string | { read: number; index: string })[] }[] = [];
  for (const [k, step] of steps.entries()) {
    const [out] = step.outputs;
    const types = step.inputs.map(({ dtype }) => wgslType[dtype]);
    const result = wgslType[out.dtype];
    const [a, b = a, c = a] = types;
    const replaced: Record<string, string> = { A: a, B: b, C: c, Result: result };
    const text = (step.op.map as NonNullable<typeof step.op.map>)(step.inputs, step.node.attributes).replace(
      /\b(A|B|C|Result)\b/g,
      (name) => replaced[name] ?? name,
    );
    const parameters = types.map((type, i) => `${'abc'[i]}: ${type}`).join(', ');
    const signature = `(${parameters}) -> ${result} { ${text} }`;
    let name = functions.get(signature);
    if (!name) functions.set(signature, (name = `operation${functions.size}`));
    const operands = step.inputs.map((view) => {
      if (view.literal !== undefined) return literalText(view.literal, view.dtype);
      const value = values.get(view.storage);
      if (value !== undefined) return value;
      const key = viewName(view);
      let read = readNames.get(key);
      if (read === undefined) {
        read = reads.length;
        readNames.set(key, read);
        reads.push(view);
      }
      return { read, index: indexText(out.shape, stretched(view, out.shape), 'i') };
    });
    values.set(out.storage, `v${k}`);
    parts.push({ value: `v${k}`, call: name, operands });
  }
  return {
    reads,
    values,
    functions: [...functions].map(([signature, name]) => `fn ${name}${signature}`).join('\n'),
    lines: (nameOf, offsetOf) =>
      parts.map(({ value, call, operands }) => {
        const texts = operands.map((operand) => {
          if (typeof operand === 'string') return operand;
          return `${nameOf(operand.read)}[${offsetOf(operand.read)}${operand.index}]`;
        });
        return `  let ${value} = ${call}(${texts.join(', ')});`;
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

/** A kernel with more bindings and room for the offsets of what they are read from. */
export function extendKernel(
  kernel: Kernel,
  bindings: readonly { name: string; type: string; access: 'read' | 'readWrite' }[],
  offsetGroups: number,
): Kernel {
  const first = Object.keys(kernel.bindings).length + 1;
  const declared = bindings.map(({ name, type, access }, i) => {
    const mode = access === 'read' ? 'read' : 'read_write';
    return `@group(0) @binding(${first + i}) var<storage, ${mode}> ${name}: array<${type}>;`;
  });
  const names = Array.from({ length: offsetGroups }, (_, i) => `fusedOffsets${i}`);
  const fields = names.map((name) => `  ${name}: array<vec4<u32>, 2>,\n`).join('');
  const source = kernel.source.replace(
    /struct Params \{([^}]*)\}/,
    (_, own: string) => `struct Params {${own}${fields}}`,
  );
  return {
    ...kernel,
    name: kernel.name === 'fused' ? 'fused' : `${kernel.name}_fused`,
    source: `${source}\n${declared.join('\n')}\n`,
    bindings: { ...kernel.bindings, ...Object.fromEntries(bindings.map(({ name, access }) => [name, access])) },
    parameters: { ...kernel.parameters, ...Object.fromEntries(names.map((name) => [name, 'u32x8' as const])) },
  };
}
