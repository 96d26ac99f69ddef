import { ownKernel, prepare } from '../contract.ts';
import {
  angles,
  arange as arangeSource,
  copyParts as copyPartsSource,
  copy as copySource,
  division,
  exponentials,
  fill as fillSource,
  functions,
  fusedFours as fusedFoursSource,
  fused as fusedSource,
  mapFours as mapFoursSource,
  mapPlaces,
  map as mapSource,
  numbers,
} from '../generated/wgsl.ts';

/** Shared WGSL functions (erf, gelu, sigmoid, …) that elementwise expressions may call. */
export const elementwiseFunctions = [numbers, exponentials, functions, angles, division].join('\n');

/** How an input of `map` is read: by its strides, as the output is written, or one element for all. */
export type MapRead = 'STRIDED' | 'FLAT' | 'SINGLE';

/** The ways in which the inputs of `map` are read, up to three. */
export const readConstants = (reads: readonly MapRead[]) => ({
  READS: ['A', 'B', 'C'].map((name, i) => `const READ_${name} = ${reads[i] ?? 'FLAT'};`).join(' '),
});

/** The types in memory of `map_fours`: four at once of what is read as the output is written. */
export const fourConstants = (reads: readonly MapRead[]) =>
  Object.fromEntries(
    ['A', 'B', 'C'].map((name, i) => {
      const type = (reads[i] ?? 'FLAT') === 'FLAT' ? `vec4<${name}>` : name;
      return [`${name}Element`, `alias ${name}Element = ${type};`];
    }),
  );

/** Any function of one to three tensors, element by element, with broadcasting strides. */
export const map = ownKernel({
  name: 'map',
  source: `${mapPlaces}\n${mapSource}`,
  bindings: { a: 'read', b: 'read', c: 'read', out: 'readWrite' },
  parameters: {
    size: 'u32',
    aOffset: 'u32',
    bOffset: 'u32',
    cOffset: 'u32',
    shape: 'u32x8',
    aStrides: 'u32x8',
    bStrides: 'u32x8',
    cStrides: 'u32x8',
  },
  constants: {
    A: 'alias A = f32;',
    B: 'alias B = f32;',
    C: 'alias C = f32;',
    Result: 'alias Result = f32;',
    INPUTS: 'const INPUTS = 2u;',
    RANK: 'const RANK = 2u;',
    ...readConstants(['STRIDED', 'FLAT']),
    compute: 'fn compute(a: A, b: B, c: C) -> Result { return a + b; }',
  },
});

/** The same, four neighbours a thread, by `fourConstants`. Grid: size / 256. */
export const mapFours = ownKernel({
  ...map,
  name: 'map_fours',
  source: `${mapPlaces}\n${mapFoursSource}`,
  constants: { ...map.constants, ...fourConstants(['STRIDED', 'FLAT']) },
});

/** Whatever a graph compiler makes and stores of each element. Its bindings are the compiler's. Grid: size / (64 TURNS). */
export const fused = ownKernel({
  name: 'fused',
  source: fusedSource,
  bindings: {},
  parameters: { size: 'u32' },
  constants: { ELEMENTS: 'const ELEMENTS = 1u;', TURNS: 'const TURNS = 1u;' },
  hooks: {
    body: {
      text: 'struct Made { made0: f32 }\nfn made(i: u32) -> Made { return Made(); }\nfn store(i: u32, own: Made) {}',
    },
    prepare,
  },
});

/** The same, four neighbours a thread. Grid: size / 256. */
export const fusedFours = ownKernel({
  name: 'fused_fours',
  source: fusedFoursSource,
  bindings: {},
  parameters: { size: 'u32' },
  constants: {},
  hooks: {
    body: {
      text: 'struct Made { made0: f32 }\nfn load(i: u32) {}\nfn made(i: u32, e: u32) -> Made { return Made(); }\nfn store(i: u32, a: Made, b: Made, c: Made, d: Made) {}',
    },
    prepare,
  },
});

/** Strided copy of one tensor into a part of another. */
export const copy = ownKernel({
  name: 'copy',
  source: copySource,
  bindings: { input: 'read', out: 'readWrite' },
  parameters: {
    size: 'u32',
    inOffset: 'u32',
    outOffset: 'u32',
    shape: 'u32x8',
    inStrides: 'u32x8',
    outStrides: 'u32x8',
  },
  constants: {
    RANK: 'const RANK = 2u;',
    Element: 'alias Element = f32;',
    TURNS: 'const TURNS = 1u;',
  },
});

/** Tensors that `copyParts` takes at once. */
export const PARTS = 7;

/** Elements of one of them that a workgroup copies. */
export const PARTS_BLOCK = 256;

/** Copies tensors into one, one after another. Grid: the sum of ceil(size / PARTS_BLOCK). */
export const copyParts = ownKernel({
  name: 'copy_parts',
  source: copyPartsSource,
  bindings: {
    part0: 'read',
    part1: 'read',
    part2: 'read',
    part3: 'read',
    part4: 'read',
    part5: 'read',
    part6: 'read',
    out: 'readWrite',
  },
  parameters: { outOffset: 'u32', sizes: 'u32x8', inOffsets: 'u32x8' },
  constants: {
    Element: 'alias Element = f32;',
    PARTS: `const PARTS = ${PARTS}u; const BLOCK = ${PARTS_BLOCK}u;`,
  },
});

/** Numbers in equal steps. */
export const arange = ownKernel({
  name: 'arange',
  source: arangeSource,
  bindings: { out: 'readWrite' },
  parameters: { size: 'u32', start: 'u32', step: 'u32', last: 'u32' },
  constants: { Element: 'alias Element = f32;', FLOAT: 'const FLOAT = true;' },
});

/** Sets every element to one value. */
export const fill = ownKernel({
  name: 'fill',
  source: fillSource,
  bindings: { out: 'readWrite' },
  parameters: { size: 'u32', bits: 'u32' },
  constants: {
    Element: 'alias Element = f32;',
    fromBits: 'fn fromBits(bits: u32) -> Element { return bitcast<Element>(bits); }',
  },
});
