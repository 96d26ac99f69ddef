/**
 * The host side of a kernel: what a WGSL file binds, which parameters it takes, and how it is divided into workgroups.
 *
 * Every kernel reads its parameters from `@group(0) @binding(0) var<uniform> params: Params` (at most 256 bytes, bound
 * with a dynamic offset) and its storage buffers from bindings 1, 2, … in the order of `bindings`. Types and sizes that
 * need another pipeline are constants: `alias Scalar = f32;`, `const TILE = 4u;`, written in front of the source.
 */

/** A field of `Params`. `u32x8` is `array<vec4<u32>, 2>`: up to eight dimensions or strides. */
export type ParameterType = 'u32' | 'f32' | 'u32x8';

/**
 * Fields of kernels whose grid may be longer than one dispatch can be: the workgroup at which a dispatch starts, to be
 * added to its own. The recorder fills them in and splits the grid.
 */
export const gridStart = { groupX: 'u32', groupY: 'u32', groupZ: 'u32' } as const;

/** Fields of kernels over planes: how a window of taps walks over one. */
export const windowFields = {
  kernelHeight: 'u32',
  kernelWidth: 'u32',
  strideY: 'u32',
  strideX: 'u32',
  paddingY: 'u32',
  paddingX: 'u32',
  dilationY: 'u32',
  dilationX: 'u32',
} as const;

/** A value for each field of `Params` but those that the recorder fills in. */
export type ParameterValues<P extends Record<string, ParameterType>> = {
  [K in Exclude<keyof P, keyof typeof gridStart>]: P[K] extends 'u32x8' ? readonly number[] : number;
};

/** A WGSL file and what its host must know of it; made by `defineKernel`. */
export interface Kernel<P extends Record<string, ParameterType> = Record<string, ParameterType>> {
  readonly name: string;
  /** The text of the .wgsl file. */
  readonly source: string;
  /** `enable` and `diagnostic` directives that must come first, but for f16's, which follows from the constants. */
  readonly directives?: readonly string[];
  /** Storage buffers in binding order, from binding 1. */
  readonly bindings: Readonly<Record<string, 'read' | 'readWrite'>>;
  /** Fields of `Params` in order. */
  readonly parameters: P;
  /** The names that the source expects in front of it, with an example that compiles. */
  readonly constants: Readonly<Record<string, string>>;
  /**
   * Functions through which the source reads or writes one of its bindings, by name. Their text stands in front of the
   * source; a graph compiler puts another in its place to make what is read, or use what is written, on the spot.
   */
  readonly hooks?: Readonly<Record<string, Hook>>;
  /**
   * Whether its threads write what they read of their workgroup's memory before they do. Where that is not said the memory begins
   * with zeros, as WGSL promises, at the cost of writing them.
   */
  readonly initialises?: boolean;
  /** How the threads that share a row join what they hold: `rowReduce(thread, value)` stands in front of the source. */
  readonly rows?: RowReduction;
}

/** An operation whose result does not depend on what is joined first, but for rounding. WGSL. */
export interface RowReduction {
  /** The type of what is joined. */
  readonly value: string;
  /** The body of `fn rowCombine(a: RowValue, b: RowValue) -> RowValue`. */
  readonly combine: string;
  /** The body of `fn rowSubgroup(value: RowValue) -> RowValue`, over the threads of a subgroup, where it can be said. */
  readonly subgroup?: string;
}

/** A function in WGSL that a graph compiler may put another in place of. */
export interface Hook {
  /** What is read or written through it. */
  readonly binding?: string;
  /** The constant that names the type of the elements at that binding. */
  readonly element?: string;
  readonly text: string;
}

/** `fn emit(at: u32, value: f32)` stores an element of a dense output, whose type in memory is `OutElement`. */
export const emit: Hook = {
  binding: 'out',
  element: 'OutElement',
  text: 'fn emit(at: u32, value: f32) { out[at] = OutElement(value); }',
};

/**
 * `fn prepare(at: u32)` is called before `emit` stores elements from `at` on, four at most. `at` is a multiple of four
 * where the last axis of the output is one. Here a graph compiler draws random numbers, which come in fours.
 */
export const prepare: Hook = { text: 'fn prepare(at: u32) {}' };

/**
 * `fn fetch(at: u32) -> Scalar` reads an element of a dense input, counted from its offset. `InputElement` is the type in
 * memory, `Scalar` the one to compute with: f32 for f16.
 */
export const fetch: Hook = {
  binding: 'input',
  element: 'InputElement',
  text: 'fn fetch(at: u32) -> Scalar { return Scalar(input[params.offset + at]); }',
};

/** `fn fetchAgain(at: u32) -> Scalar` reads an element again that the same thread has fetched. */
export const fetchAgain: Hook = { text: 'fn fetchAgain(at: u32) -> Scalar { return fetch(at); }' };

/**
 * `fn prepareFetch(at: u32)` is to `fetch` what `prepare` is to `emit`; it is called before the first time that elements
 * are fetched.
 */
export const prepareFetch: Hook = { text: 'fn prepareFetch(at: u32) {}' };

/** A kernel as it was given, with the types of its parameters kept, so that a dispatch of it is checked. */
export function defineKernel<const P extends Record<string, ParameterType>>(kernel: Kernel<P>): Kernel<P> {
  return kernel;
}

/** A kernel of this package: none counts on zeros in the memory of its workgroup. */
export function ownKernel<const P extends Record<string, ParameterType>>(kernel: Kernel<P>): Kernel<P> {
  return { ...kernel, initialises: true };
}
