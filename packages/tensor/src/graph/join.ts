import { elementwise, type Hook, type Kernel, type ParameterType, random } from '@dawnchorus/kernels';
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
export function join(base: AnyDispatch, request: Join): Joined | undefined {
  const { hook, body, write } = request;
  const { kernel } = base;
  const own = kernel.hooks?.[hook];
  const draws = body.words.length > 0;
  if (!own || (draws && !kernel.hooks?.[drawingHooks[hook]])) return undefined;
  const binder = createBinder(base, own);
  if (binder.served === 'readWrite' && request.stores.length === 0) return undefined;
  if (binder.served === 'read' && body.reads.length === 0) return undefined;

  const { lent, inPlace } = lendMemory(base, request);
  const storeNames = bindStores(binder, request);
  const lentTo = new Map([...lent].map(([key, store]) => [key, storeNames[store]]));
  const words = createWords(kernel, body.words);
  const reads = bindReads(binder, request, lentTo, words);
  const names: Names = {
    word: words.word,
    zero: words.zero,
    element: (read, index) => elementText(reads[read], read, index, words),
  };

  const constants = { ...binder.elements };
  if (request.again) constants.fetchAgain = fetchAgainText(storeNames[storeOf(request, request.again)]);
  if (draws) {
    constants[drawingHooks[hook]] = drawingText(drawingHooks[hook], body.draws(names));
    if ('ELEMENTS' in kernel.constants) constants.ELEMENTS = 'const ELEMENTS = 4u;';
  }
  // What is joined takes one at a time.
  const wide = wideConstants[hook];
  if (wide in kernel.constants) constants[wide] = kernel.constants[wide];
  const stored = storedBy(request, storeNames);
  const storing = stored.map(({ target, value }) => `  ${target} = ${value};`);
  const kept = reads.map(keepFours).filter((each) => each !== undefined);
  const text = write(
    body.lines(names),
    storing,
    stored,
    kept.map(({ load }) => load),
  );
  // Part of the pipeline's key: kernels of one name differ in what they bind.
  const comments = binder.added.map(({ name, type }) => `// ${name}: ${type}\n`).join('');
  constants[hook] = `${comments}${kept.map(({ declare }) => declare).join('')}${body.functions}\n${text}`;

  const library = [elementwise.elementwiseFunctions, ...(draws ? [random.drawFunctions] : [])];
  const parameters = words.parameters();
  const dispatch: AnyDispatch = {
    ...base,
    kernel: extendKernel(kernel, binder.added, Object.keys(parameters)),
    constants: { ...base.constants, ...constants },
    library: [base.library, ...library.filter((text) => !base.library?.includes(text))].join('\n'),
    buffers: binder.buffers,
    parameters: { ...base.parameters, ...parameters } as AnyDispatch['parameters'],
  };
  const bound = new Map(reads.flatMap(({ view, name, isLent }) => (isLent ? [] : [[viewName(view), name]])));
  return { dispatch, inPlace, bound };
}

/** By hook, the one at which a kernel draws random numbers for it. */
const drawingHooks = { fetch: 'prepareFetch', emit: 'prepare', body: 'prepare' } as const;
/** By hook, the constant that says how many elements it is given at a time. */
const wideConstants = { fetch: 'WIDE_INPUT', emit: 'WIDE_OUTPUT', body: '' } as const;

/** The buffers and bindings of a dispatch, as it gets more of them. One of its own, that of the hook, it can give away. */
function createBinder({ kernel, buffers: own }: AnyDispatch, hook: Hook) {
  const names = Object.keys(kernel.bindings);
  const at = names.indexOf(hook.binding ?? '');
  const buffers: PooledBuffer[] = [...own];
  const added: Binding[] = [];
  const elements: Record<string, string> = {};
  return {
    buffers,
    added,
    /** What the elements of the binding that was given away are, as a constant of the kernel. */
    elements,
    /** How the kernel uses the binding that the hook serves; undefined where it serves none. */
    served: at < 0 ? undefined : kernel.bindings[names[at]],
    /** What is bound there. */
    servedBuffer: own[at] as PooledBuffer | undefined,
    give(view: View): string {
      buffers[at] = view.storage.buffer;
      if (hook.element) elements[hook.element] = `alias ${hook.element} = ${wgslType[view.dtype]};`;
      return names[at];
    },
    add(name: string, { dtype, storage }: View, access: Binding['access'], fours: boolean): string {
      const type = wgslType[dtype];
      added.push({ name, type: fours ? `vec4<${type}>` : type, access });
      buffers.push(storage.buffer);
      return name;
    },
  };
}

type Binder = ReturnType<typeof createBinder>;

/**
 * An input that dies here and is walked in step lends its memory to an output of its size. Returns the places among the stores of
 * those to whom views lend theirs, and the same by buffers.
 */
function lendMemory({ buffers }: AnyDispatch, { body, steps, stores, dying }: Join) {
  const inPlace = new Map<number, number>();
  const lent = new Map<string, number>();
  const inUse = new Set(buffers.map(({ id }) => id));
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
  return { inPlace, lent };
}

const storeOf = ({ stores }: Join, { storage }: View) => stores.findIndex(({ view }) => view.storage === storage);

/** Binds what is stored. Where the kernel writes at the hook, that binding goes to what was there, or else to the first. */
function bindStores(binder: Binder, { hook, stores, fours = false }: Join): string[] {
  const was = binder.servedBuffer?.id;
  const same = stores.findIndex(({ view }) => view.storage.buffer.id === was);
  const given = binder.served === 'readWrite' ? Math.max(0, same) : -1;
  return stores.map(({ view }, k) =>
    k === given ? binder.give(view) : binder.add(`${hook}Stored${k}`, view, 'readWrite', fours),
  );
}

/** How a kernel reads one of the views that a body reads. */
interface Read {
  readonly view: View;
  /** The binding. */
  readonly name: string;
  /** Whether that is one of the stores, to which it lends its memory. */
  readonly isLent: boolean;
  /** Whether four neighbours are read at a time. */
  readonly fours: boolean;
  /** The word that holds its offset; undefined where that is 0. */
  readonly offset: number | undefined;
}

/** Binds what is read, where it is not bound yet. `lentTo`: the bindings of the stores to which views lend their memory. */
function bindReads(
  binder: Binder,
  { hook, body, stores, bound, fours = false }: Join,
  lentTo: ReadonlyMap<string, string>,
  words: Words,
): Read[] {
  return body.reads.map((view, k) => {
    const inFours = fours && isWhole(view) && sizeOf(view.shape) === sizeOf(stores[0].view.shape);
    const key = viewName(view);
    const lent = lentTo.get(key);
    const isGiven = binder.served === 'read' && k === 0;
    const name =
      lent ?? bound?.get(key) ?? (isGiven ? binder.give(view) : binder.add(`${hook}Read${k}`, view, 'read', inFours));
    const offset = view.offset === 0 ? undefined : words.add(view.offset);
    return { view, name, isLent: lent !== undefined, fours: inFours, offset };
  });
}

/** Words of a kernel's parameters for what is joined to it, in groups of eight. */
function createWords(kernel: Kernel, given: readonly number[]) {
  const words = [...given];
  const first = Object.keys(kernel.parameters).filter((name) => name.startsWith('fusedWords')).length;
  const add = (value: number): number => words.push(value) - 1;
  const word = (at: number): string => `params.fusedWords${first + (at >> 3)}[${(at & 7) >> 2}][${at & 3}]`;
  let zeroAt: number | undefined;
  return {
    /** Returns its place. */
    add,
    word,
    zero: (): string => word((zeroAt ??= add(0))),
    /** What the parameters are, by their names. */
    parameters(): Record<string, readonly number[]> {
      const groups = Array.from({ length: Math.ceil(words.length / 8) }, (_, g) => words.slice(8 * g, 8 * g + 8));
      return Object.fromEntries(groups.map((group, g) => [`fusedWords${first + g}`, group]));
    },
  };
}

type Words = ReturnType<typeof createWords>;

/** An element of what is read, the `read`-th. */
function elementText({ name, fours, offset }: Read, read: number, index: string, { word }: Words): string {
  if (fours) return index === 'i' ? `four${read}[e]` : `${name}[(${index}) / 4u][(${index}) % 4u]`;
  return `${name}[${offset === undefined ? '' : `${word(offset)} + `}${index}]`;
}

/** The variable for four neighbours of what is read, and the statement that loads them; undefined where it is read one by one. */
function keepFours({ view, name, fours }: Read, read: number): { declare: string; load: string } | undefined {
  if (!fours) return undefined;
  return {
    declare: `var<private> four${read}: vec4<${wgslType[view.dtype]}>;\n`,
    load: `  four${read} = ${name}[i / 4u];`,
  };
}

const storedBy = ({ body, stores, fours }: Join, names: readonly string[]): Stored[] =>
  stores.map(({ view, index }, k) => ({
    value: body.values.get(view.storage) as string,
    type: wgslType[view.dtype],
    target: `${names[k]}[${fours ? `${index} / 4u` : index}]`,
  }));

const fetchAgainText = (name: string) => `fn fetchAgain(at: u32) -> Scalar { return Scalar(${name}[at]); }`;

const drawingText = (name: string, lines: readonly string[]) =>
  `fn ${name}(at: u32) {\n  let i = at;\n${lines.join('\n')}\n}`;

/** A kernel with more bindings, and with more groups of eight words among its parameters, by these names. */
function extendKernel(kernel: Kernel, bindings: readonly Binding[], names: readonly string[]): Kernel {
  const count = Object.keys(kernel.bindings).length + 1;
  const declared = bindings.map(({ name, type, access }, i) => {
    const mode = access === 'read' ? 'read' : 'read_write';
    return `@group(0) @binding(${count + i}) var<storage, ${mode}> ${name}: array<${type}>;`;
  });
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
