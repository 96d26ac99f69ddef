/**
 * Host time of eager calls and replayed dispatches on Dawn's null backend, which executes nothing, beside that of the
 * calls of WebGPU that a dispatch cannot do without.
 */
import { compile, Device, scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { create } from 'webgpu';

/** Held for the life of the process, as Dawn wants it. */
let nullInstance: GPU | undefined;

/** A device that takes everything and does nothing. */
async function openNullDevice(): Promise<Device> {
  nullInstance = create(['backend=null']);
  const adapter = await nullInstance.requestAdapter();
  if (!adapter) throw new Error('bench: Dawn has no null backend here');
  const requiredLimits: Record<string, number> = {};
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') requiredLimits[name] = value;
  }
  const gpu = await adapter.requestDevice({ requiredLimits });
  const description = {
    name: 'null',
    vendor: '',
    architecture: '',
    driver: '',
    software: false,
    matrixUnits: [],
    source: 'Dawn',
  };
  return new Device(gpu, description as ConstructorParameters<typeof Device>[1]);
}

const CHAIN = 200;
const WARM_UP = 20;
const ROUNDS = 100;

/** A chain of dispatches by bare calls, each with another pipeline and other buffers than the one before. */
function bareChain(gpu: GPUDevice): () => void {
  const code = `
    @group(0) @binding(0) var<uniform> size: u32;
    @group(0) @binding(1) var<storage, read> a: array<f32>;
    @group(0) @binding(2) var<storage, read_write> b: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
      if (id.x < size) { b[id.x] = a[id.x] + offset; }
    }`;
  const types = ['uniform', 'read-only-storage', 'storage'] as const;
  const layout = gpu.createBindGroupLayout({
    entries: types.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } })),
  });
  const pipelines = [1, 2].map((offset) =>
    gpu.createComputePipeline({
      layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: gpu.createShaderModule({ code: `const offset = ${offset}.0;${code}` }), entryPoint: 'main' },
    }),
  );
  const uniform = gpu.createBuffer({ size: 256 * CHAIN, usage: GPUBufferUsage.UNIFORM });
  const buffers = [0, 1].map(() => gpu.createBuffer({ size: 256, usage: GPUBufferUsage.STORAGE }));
  const groups = Array.from({ length: CHAIN }, (_, k) => {
    const bound = [
      { buffer: uniform, offset: 256 * k, size: 256 },
      ...[k, k + 1].map((i) => ({ buffer: buffers[i % 2] })),
    ];
    return gpu.createBindGroup({ layout, entries: bound.map((resource, binding) => ({ binding, resource })) });
  });
  return () => {
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let k = 0; k < CHAIN; k++) {
      pass.setPipeline(pipelines[k % 2]);
      pass.setBindGroup(0, groups[k]);
      pass.dispatchWorkgroups(1);
    }
    pass.end();
    gpu.queue.submit([encoder.finish()]);
  };
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];

export interface Overhead {
  /** Microseconds a dispatch: the median of many rounds. */
  eager: number;
  replayed: number;
  bare: number;
  /** Replayed to bare, the median over rounds: a busy machine slows both. */
  ratio: number;
}

/** Takes turns, so that whatever else the machine does falls on all three. */
export async function measureOverhead(): Promise<Overhead> {
  const device = await openNullDevice();
  const x = tensor(new Float32Array(16), { device });
  // Each is a kernel of its own, whatever the compiler joins, and another than the one before.
  const chain = (start: Tensor) => {
    let y = start;
    for (let k = 0; k < CHAIN / 2; k++) y = y.softmax().logSoftmax();
    return y;
  };
  const compiled = compile(chain, { verify: 'never' });
  const inScope = (call: () => Tensor) => () => {
    scope(() => {
      call();
    });
    device.flush();
  };
  const ways = [inScope(() => chain(x)), inScope(() => compiled(x)), bareChain(device.gpu)];
  const times: number[][] = ways.map(() => []);
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    for (const [i, way] of ways.entries()) {
      const start = performance.now();
      way();
      times[i].push((1000 * (performance.now() - start)) / CHAIN);
      await device.synchronize();
    }
  }
  compiled.dispose();
  x.dispose();
  device.close();
  const [eager, replayed, bare] = times.map((list) => list.slice(WARM_UP));
  return {
    eager: median(eager),
    replayed: median(replayed),
    bare: median(bare),
    ratio: median(replayed.map((time, i) => time / bare[i])),
  };
}
