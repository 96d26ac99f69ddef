import { elementwise, type Kernel, type ParameterType, random } from '@dawnchorus/kernels';
import { wgslType } from '../dtype.ts';
import type { Dispatch } from '../kernel/recorder.ts';
import type { PooledBuffer } from '../memory/pool.ts';
import type { Storage } from '../memory/storage.ts';
import { sizeOf } from '../shape.ts';
import { type Body, type Names, readsInStep } from './codegen.ts';
import { isWhole, type Step, type View, viewName } from './optimize.ts';

export type AnyDispatch = Dispatch<Record<string, ParameterType>>;

interface Binding {
  readonly name: string;
  readonly type: string;
  readonly access: 'read' | 'readWrite';
}

/** A value that a body leaves, of this type, and the element of a binding that it goes to, or the four elements. */
export interface Stored {
  readonly value: string;
  readonly type: string;
  readonly target: string;
}

/** What goes into a kernel by one of its hooks. */
export interface Join {
  readonly hook: 'fetch' | 'emit' | 'body';
  readonly body: Body;
  readonly steps: readonly Step[];
  /** What is stored, each with the index at which it is. */
  readonly stores: readonly { readonly view: View; readonly index: string }[];
  /**
   * The text of the hook's function, given the statements of the body, those that store, what these store where, and those
   * that load fours.
   */
  readonly write: (lines: string[], storing: string[], stored: readonly Stored[], loading: readonly string[]) => string;
  /** Whether four neighbours are made at a time, from i on: memory is bound by fours, but for what is read in another order. */
  readonly fours?: boolean;
  /** Storages that nobody reads after this. */
  readonly dying: ReadonlySet<Storage>;
  /** What the kernel fetches again from where it was stored, one of the stores. */
  readonly again?: View;
  /** What the kernel binds for reading since an earlier join. */
  readonly bound?: ReadonlyMap<string, string>;
}

export interface Joined {
  readonly dispatch: AnyDispatch;
  /** Outputs that take over the memory of an input: virtual buffer ids. */
  readonly inPlace: Map<number, number>;
  /** Names of the bindings of what is read, by view. */
  readonly bound: ReadonlyMap<string, string>;
}

/**
 * Puts joined elementwise operations into a kernel by one of its hooks. The binding that the hook serves is given to one
 * of the stores, or of the reads; undefined where there is none to give it to, or the kernel lacks a hook.
 */
export function join(
  base: AnyDispatch,
  { hook, body, steps, stores, write, dying, again, bound, fours = false }: Join,
): Joined | undefined {
  const { kernel } = base;
  const own = kernel.hooks?.[hook];
  const draws = body.words.length > 0;
  const prepare = hook === 'fetch' ? 'prepareFetch' : 'prepare';
  if (!own || (draws && !kernel.hooks?.[prepare])) return undefined;
  const names = Object.keys(kernel.bindings);
  const hookAt = names.indexOf(own.binding ?? '');
  const writing = hookAt >= 0 && kernel.bindings[names[hookAt]] === 'readWrite';
  const buffers: PooledBuffer[] = [...base.buffers];
  const bindings: Binding[] = [];
  const constants: Record<string, string> = {};
  const bind = (name: string, view: View, access: Binding['access'], four = fours) => {
    const type = wgslType[view.dtype];
    bindings.push({ name, type: four ? `vec4<${type}>` : type, access });
    buffers.push(view.storage.buffer);
    return name;
  };
  const give = (view: View) => {
    buffers[hookAt] = view.storage.buffer;
    if (own.element) constants[own.element] = `alias ${own.element} = ${wgslType[view.dtype]};`;
    return names[hookAt];
  };

  // An input that dies here and is walked in step lends its memory to an output of its size.
  const inPlace = new Map<number, number>();
  const lent = new Map<string, number>();
  const inUse = new Set(base.buffers.map(({ id }) => id));
  for (const view of body.reads) {
    const { storage } = view;
    if (!dying.has(storage) || inUse.has(storage.buffer.id) || !readsInStep(steps, storage)) continue;
    if (body.reads.some((other) => other !== view && other.storage === storage)) continue;
    const at = stores.findIndex(
      ({ view: { dtype, storage: to }, index }) =>
        index === 'i' && !inPlace.has(to.buffer.id) && dtype === view.dtype && to.buffer.size === storage.buffer.size,
    );
    if (at < 0) continue;
    lent.set(viewName(view), at);
    inPlace.set(stores[at].view.storage.buffer.id, storage.buffer.id);
  }

  if (writing && stores.length === 0) return undefined;
  const was = base.buffers[hookAt]?.id;
  const given = Math.max(
    0,
    stores.findIndex(({ view }) => view.storage.buffer.id === was),
  );
  const storeNames = stores.map(({ view }, k) =>
    writing && k === given ? give(view) : bind(`${hook}Stored${k}`, view, 'readWrite'),
  );
  if (hookAt >= 0 && !writing && body.reads.length === 0) return undefined;
  if (again) {
    const name = storeNames[stores.findIndex(({ view }) => view.storage === again.storage)];
    constants.fetchAgain = `fn fetchAgain(at: u32) -> Scalar { return Scalar(${name}[at]); }`;
  }
  const reads = new Map<string, string>();
  const words = [...body.words];
  const offsets: (number | undefined)[] = [];
  const inFours = body.reads.map(
    (view) => fours && isWhole(view) && sizeOf(view.shape) === sizeOf(stores[0].view.shape),
  );
  const readNames = body.reads.map((view, k) => {
    offsets.push(view.offset === 0 ? undefined : words.push(view.offset) - 1);
    const key = viewName(view);
    const place = lent.get(key);
    if (place !== undefined) return storeNames[place];
    const name =
      bound?.get(key) ??
      (hookAt >= 0 && !writing && k === 0 ? give(view) : bind(`${hook}Read${k}`, view, 'read', inFours[k]));
    reads.set(key, name);
    return name;
  });

  const first = Object.keys(kernel.parameters).filter((name) => name.startsWith('fusedWords')).length;
  const word = (at: number) => `params.fusedWords${first + (at >> 3)}[${(at & 7) >> 2}][${at & 3}]`;
  let zeroAt: number | undefined;
  const taken: Names = {
    word,
    zero: () => word((zeroAt ??= words.push(0) - 1)),
    element: (read, index) => {
      if (inFours[read])
        return index === 'i' ? `four${read}[e]` : `${readNames[read]}[(${index}) / 4u][(${index}) % 4u]`;
      const offset = offsets[read];
      return `${readNames[read]}[${offset === undefined ? '' : `${word(offset)} + `}${index}]`;
    },
  };
  const stored = stores.map(({ view, index }, k) => ({
    value: body.values.get(view.storage) as string,
    type: wgslType[view.dtype],
    target: `${storeNames[k]}[${fours ? `${index} / 4u` : index}]`,
  }));
  const kept = [...body.reads.entries()].filter(([k]) => inFours[k]);
  const loading = kept.map(([k]) => `  four${k} = ${readNames[k]}[i / 4u];`);
  const keeping = kept.map(([k, { dtype }]) => `var<private> four${k}: vec4<${wgslType[dtype]}>;\n`).join('');
  const storing = stored.map(({ target, value }) => `  ${target} = ${value};`);
  if (draws) {
    constants[prepare] = `fn ${prepare}(at: u32) {\n  let i = at;\n${body.draws(taken).join('\n')}\n}`;
    if ('ELEMENTS' in kernel.constants) constants.ELEMENTS = 'const ELEMENTS = 4u;';
  }
  // What is joined takes one at a time.
  const wide = { fetch: 'WIDE_INPUT', emit: 'WIDE_OUTPUT', body: '' }[hook];
  if (wide in kernel.constants) constants[wide] = kernel.constants[wide];
  const lines = body.lines(taken);
  const groups = Math.ceil(words.length / 8);
  const parameters: Record<string, number | readonly number[]> = { ...base.parameters };
  for (let g = 0; g < groups; g++) parameters[`fusedWords${first + g}`] = words.slice(8 * g, 8 * g + 8);
  // Part of the pipeline's key: kernels of one name differ in what they bind.
  const comments = bindings.map(({ name, type }) => `// ${name}: ${type}\n`).join('');
  constants[hook] = `${comments}${keeping}${body.functions}\n${write(lines, storing, stored, loading)}`;
  const library = [elementwise.elementwiseFunctions, ...(draws ? [random.drawFunctions] : [])];
  const dispatch: AnyDispatch = {
    ...base,
    kernel: extendKernel(kernel, bindings, first, groups),
    constants: { ...base.constants, ...constants },
    library: [base.library, ...library.filter((text) => !base.library?.includes(text))].join('\n'),
    buffers,
    parameters: parameters as AnyDispatch['parameters'],
  };
  return { dispatch, inPlace, bound: reads };
}

/** A kernel with more bindings, and with more groups of eight words among its parameters. */
function extendKernel(kernel: Kernel, bindings: readonly Binding[], first: number, groups: number): Kernel {
  const count = Object.keys(kernel.bindings).length + 1;
  const declared = bindings.map(({ name, type, access }, i) => {
    const mode = access === 'read' ? 'read' : 'read_write';
    return `@group(0) @binding(${count + i}) var<storage, ${mode}> ${name}: array<${type}>;`;
  });
  const names = Array.from({ length: groups }, (_, g) => `fusedWords${first + g}`);
  const fields = names.map((name) => `  ${name}: array<vec4<u32>, 2>,\n`).join('');
  const source = kernel.source.replace(
    /struct Params \{([^}]*)\}/,
    (_, own: string) => `struct Params {${own}${fields}}`,
  );
  const joined = kernel.name.startsWith('fused') || kernel.name.endsWith('_fused');
  return {
    ...kernel,
    name: joined ? kernel.name : `${kernel.name}_fused`,
    source: `${source}\n${declared.join('\n')}\n`,
    bindings: { ...kernel.bindings, ...Object.fromEntries(bindings.map(({ name, access }) => [name, access])) },
    parameters: { ...kernel.parameters, ...Object.fromEntries(names.map((name) => [name, 'u32x8' as const])) },
  };
}
