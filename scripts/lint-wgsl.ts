/**
 * Compiles every kernel with its example constants, and with f16 in memory where it takes element types, on Dawn's null
 * backend, which is a complete WGSL validator that needs no GPU, and checks that each host contract lists the bindings
 * and parameters that its WGSL file declares.
 */

import type { Kernel } from '@dawnchorus/kernels';
import * as families from '@dawnchorus/kernels';
import { create, globals } from 'webgpu';
import { fromBits } from '../packages/tensor/src/dtype.ts';
import { assembleSource } from '../packages/tensor/src/kernel/pipelines.ts';

Object.assign(globalThis, globals);
const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
const adapter = await gpu.requestAdapter();
if (!adapter) throw new Error('Dawn has no null backend here');
const device = await adapter.requestDevice({ requiredFeatures: [...adapter.features] as GPUFeatureName[] });

function isKernel(value: unknown): value is Kernel {
  return typeof value === 'object' && value !== null && 'bindings' in value && 'source' in value;
}

/** Where the contract and the file disagree. */
function contractProblems(kernel: Kernel): string[] {
  const problems: string[] = [];
  const struct = kernel.source.match(/struct Params \{([^}]*)\}/)?.[1] ?? '';
  const declared = [...struct.matchAll(/^\s*(\w+): (.+),$/gm)].map(([, name, type]) => `${name}: ${type}`);
  const types = { u32: 'u32', f32: 'f32', u32x8: 'array<vec4<u32>, 2>' };
  const promised = Object.entries(kernel.parameters).map(([name, type]) => `${name}: ${types[type]}`);
  if (declared.join() !== promised.join()) {
    problems.push(`Params is {${declared.join(', ')}} but the contract says {${promised.join(', ')}}`);
  }
  const storages = [...kernel.source.matchAll(/@binding\((\d+)\) var<storage, (\w+)> (\w+):/g)];
  const found = storages.map(([, at, access, name]) => `${at} ${name} ${access}`);
  const expected = Object.entries(kernel.bindings).map(
    ([name, access], i) => `${i + 1} ${name} ${access === 'read' ? 'read' : 'read_write'}`,
  );
  if (found.join() !== expected.join()) problems.push(`bindings are ${found} but the contract says ${expected}`);
  return problems;
}

/** The example constants with the elements in memory made f16; undefined where a kernel has f32 elements alone. */
function inHalf(constants: Kernel['constants']): Kernel['constants'] | undefined {
  const element = /^alias (A|B|C|Result|\w*Element) = f32;$/;
  if (!Object.values(constants).some((text) => element.test(text))) return undefined;
  const half = Object.entries(constants).map(([name, text]) => {
    return [name, name === 'fromBits' ? fromBits('f16') : text.replace(element, 'alias $1 = f16;')];
  });
  return Object.fromEntries(half);
}

/** Functions that kernels take from elsewhere. */
const libraries: Readonly<Record<string, string>> = {
  map: families.elementwise.elementwiseFunctions,
  map_fours: families.elementwise.elementwiseFunctions,
  conv_norm_gelu: families.elementwise.elementwiseFunctions,
  conv_norm_gelu_backward: families.elementwise.elementwiseFunctions,
  philox: families.random.drawFunctions,
};

async function compilerMessages(kernel: Kernel, constants: Kernel['constants']): Promise<string[]> {
  const code = assembleSource(kernel, constants, libraries[kernel.name]);
  const module = device.createShaderModule({ code, label: kernel.name });
  const { messages } = await module.getCompilationInfo();
  return messages.map((m) => `${m.lineNum}:${m.linePos} ${m.type}: ${m.message}`);
}

let failures = 0;
let halves = 0;
let count = 0;
for (const family of Object.values(families)) {
  for (const kernel of Object.values(family as Record<string, unknown>)) {
    if (!isKernel(kernel)) continue;
    count++;
    const problems = [...contractProblems(kernel), ...(await compilerMessages(kernel, kernel.constants))];
    const half = inHalf(kernel.constants);
    if (half) {
      halves++;
      problems.push(...(await compilerMessages(kernel, half)).map((message) => `in f16: ${message}`));
    }
    if (kernel.rows) {
      const constants = { ...kernel.constants, SUBGROUPS: 'const SUBGROUPS = true;' };
      problems.push(...(await compilerMessages(kernel, constants)).map((message) => `by subgroups: ${message}`));
    }
    for (const problem of problems) console.error(`${kernel.name}: ${problem}`);
    if (problems.length > 0) failures++;
  }
}
console.log(`${count} kernels compiled, ${halves} of them with f16 in memory too, ${failures} with problems`);
process.exit(failures > 0 ? 1 : 0);
