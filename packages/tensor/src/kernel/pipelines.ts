import { type Kernel, rows } from '@dawnchorus/kernels';
import { usedOf } from './library.ts';
import { unrollLoops } from './unroll.ts';
import { zeroWorkgroup } from './workgroup.ts';

export interface Pipeline {
  readonly gpu: GPUComputePipeline;
  /** Bind groups are shared among pipelines of one layout. */
  readonly layout: { readonly key: string; readonly gpu: GPUBindGroupLayout };
}

/** Values of a kernel's constants: WGSL text in front of its source. */
export type Constants = Readonly<Record<string, string>>;

/** Whether WGSL text mentions the type f16, which it must then ask for. */
const mentionsF16 = /\bf16\b/;

/** What joins the threads of a row, by subgroups where the constants and the kernel let it. */
function rowFunctions({ rows: own }: Kernel, constants: Constants): { text: string; subgroups: boolean } {
  if (!own) return { text: '', subgroups: false };
  const subgroups = constants.SUBGROUPS === 'const SUBGROUPS = true;' && own.subgroup !== undefined;
  const lines = [
    `alias RowValue = ${own.value};`,
    `fn rowCombine(a: RowValue, b: RowValue) -> RowValue { ${own.combine} }`,
    ...(subgroups ? [`fn rowSubgroup(value: RowValue) -> RowValue { ${own.subgroup} }`] : []),
    subgroups ? rows.rowReduceSubgroups : rows.rowReduce,
  ];
  return { text: `${lines.join('\n')}\n`, subgroups };
}

/**
 * The source as Dawn compiles it: constants first, then what is used of any shared functions, then the file. `enable f16;`
 * comes before all of it where a constant makes something f16; kernels themselves never name the type. Marked loops are
 * written out.
 */
export function assembleSource(kernel: Kernel, constants: Constants, library = ''): string {
  const lines = Object.keys(kernel.constants).map((name) => {
    const text = constants[name] ?? (name in constants ? '' : undefined);
    if (text === undefined) throw new Error(`kernel ${kernel.name}: constant ${name} was not given`);
    return text;
  });
  const hooks = Object.entries(kernel.hooks ?? {}).map(([name, hook]) => constants[name] ?? hook.text);
  const front = [...lines, ...hooks].join('\n');
  const joining = rowFunctions(kernel, constants);
  const directives = new Set([
    ...(mentionsF16.test(front) ? ['enable f16;'] : []),
    ...(joining.subgroups ? ['enable subgroups;'] : []),
    ...(kernel.directives ?? []),
  ]);
  const shared = library && usedOf(library, `${front}\n${joining.text}${kernel.source}`);
  const body = [front, shared, `${joining.text}${unrollLoops(kernel.source, front)}`].join('\n');
  const code = kernel.initialises ? body : zeroWorkgroup(body, kernel.name);
  return `${[...directives].map((line) => `${line}\n`).join('')}${code}`;
}

const identities = new Map<string, number>();
const identified = new WeakMap<Kernel, number>();

/** A number for all that a pipeline is made of but its constants: kernels of one name need not be the same. */
function identityOf(kernel: Kernel): number {
  let identity = identified.get(kernel);
  if (identity === undefined) {
    const text = JSON.stringify({ ...kernel, constants: Object.keys(kernel.constants) });
    identity = identities.get(text) ?? identities.size;
    identities.set(text, identity);
    identified.set(kernel, identity);
  }
  return identity;
}

/** A pipeline with what decides how long it is kept. */
export interface Kept extends Pipeline {
  /** When it was asked for last. */
  used: number;
  /** Plans of compiled functions that have it. */
  holders: number;
}

/** Pipelines that are kept for the next time beside those that compiled functions hold. */
const IDLE_PIPELINES = 512;

/**
 * Compiles on first use and remembers by kernel and constants. Joined kernels differ by shapes, so those that nobody holds
 * are bounded: the least recently used goes first.
 */
export function createPipelineCache(device: GPUDevice, idleLimit = IDLE_PIPELINES) {
  const pipelines = new Map<string, Kept>();
  let held = 0;
  let time = 0;
  const layouts = new Map<string, Pipeline['layout']>();

  function layoutOf(kernel: Kernel, hasDynamicOffset: boolean): Pipeline['layout'] {
    const accesses = Object.values(kernel.bindings);
    const key = `${hasDynamicOffset} ${accesses.join()}`;
    let layout = layouts.get(key);
    if (!layout) {
      const entries: GPUBindGroupLayoutEntry[] = [
        { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'uniform', hasDynamicOffset } },
        ...accesses.map((access, i) => ({
          binding: i + 1,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: access === 'read' ? ('read-only-storage' as const) : ('storage' as const) },
        })),
      ];
      layout = { key, gpu: device.createBindGroupLayout({ entries, label: key }) };
      layouts.set(key, layout);
    }
    return layout;
  }

  /** Making a pipeline takes so much longer than looking through all of them that they are in no order. */
  function forgetOldest(): void {
    let oldest: string | undefined;
    let used = Number.POSITIVE_INFINITY;
    for (const [key, pipeline] of pipelines) {
      if (pipeline.holders > 0 || pipeline.used >= used) continue;
      oldest = key;
      used = pipeline.used;
    }
    if (oldest !== undefined) pipelines.delete(oldest);
  }

  /** `dynamic`: whether its parameters are found at an offset that is given with each dispatch, or stay where they are. */
  function get(kernel: Kernel, constants: Constants, library?: string, dynamic = true): Kept {
    const key = `${dynamic}|${identityOf(kernel)}|${Object.values(constants).join('|')}`;
    let pipeline = pipelines.get(key);
    if (!pipeline) {
      const layout = layoutOf(kernel, dynamic);
      const code = assembleSource(kernel, constants, library);
      const module = device.createShaderModule({ code, label: kernel.name });
      const gpu = device.createComputePipeline({
        label: kernel.name,
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout.gpu] }),
        compute: { module, entryPoint: 'main' },
      });
      pipeline = { gpu, layout, used: 0, holders: 0 };
      if (pipelines.size - held >= idleLimit) forgetOldest();
      pipelines.set(key, pipeline);
    }
    pipeline.used = ++time;
    return pipeline;
  }

  /** As `get`, and keeps it until `release`; its parameters stay where they are. */
  function hold(kernel: Kernel, constants: Constants, library?: string): Pipeline {
    const pipeline = get(kernel, constants, library, false);
    if (pipeline.holders++ === 0) held++;
    return pipeline;
  }

  function release(pipeline: Pipeline): void {
    if (--(pipeline as Kept).holders > 0) return;
    held--;
    while (pipelines.size - held > idleLimit) forgetOldest();
  }

  return {
    get,
    hold,
    release,
    /** All that are there. */
    get count() {
      return pipelines.size;
    },
    /** Those of them that compiled functions hold. */
    get held() {
      return held;
    },
  };
}
