import type { Kernel } from '@dawnchorus/kernels';

export interface Pipeline {
  readonly gpu: GPUComputePipeline;
  /** Bind groups are shared among pipelines of one layout. */
  readonly layout: { readonly key: string; readonly gpu: GPUBindGroupLayout };
}

/** Values of a kernel's constants: WGSL text in front of its source. */
export type Constants = Readonly<Record<string, string>>;

/** Whether WGSL text mentions the type f16, which it must then ask for. */
const mentionsF16 = /\bf16\b/;

/**
 * The source as Dawn compiles it: constants first, then any shared functions, then the file. `enable f16;` comes before
 * all of it where a constant makes something f16; kernels themselves never name the type.
 */
export function assembleSource(kernel: Kernel, constants: Constants, library = ''): string {
  const lines = Object.keys(kernel.constants).map((name) => {
    const text = constants[name] ?? (name in constants ? '' : undefined);
    if (text === undefined) throw new Error(`kernel ${kernel.name}: constant ${name} was not given`);
    return text;
  });
  const hooks = Object.entries(kernel.hooks ?? {}).map(([name, hook]) => constants[name] ?? hook.text);
  const front = [...lines, ...hooks].join('\n');
  const directives = new Set([...(mentionsF16.test(front) ? ['enable f16;'] : []), ...(kernel.directives ?? [])]);
  return `${[...directives].map((line) => `${line}\n`).join('')}${front}\n${library}\n${kernel.source}`;
}

/** Compiles on first use and remembers by kernel and constants. */
export function createPipelineCache(device: GPUDevice) {
  const pipelines = new Map<string, Pipeline>();
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

  /** `dynamic`: whether its parameters are found at an offset that is given with each dispatch, or stay where they are. */
  function get(kernel: Kernel, constants: Constants, library?: string, dynamic = true): Pipeline {
    const key = `${dynamic}|${kernel.name}|${Object.values(constants).join('|')}`;
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
      pipeline = { gpu, layout };
      pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  return {
    get,
    get count() {
      return pipelines.size;
    },
  };
}
