import { collectGarbage } from '#dawn';
import type { PooledBuffer } from '../memory/pool.ts';
import { SLOT_BYTES } from './parameters.ts';
import type { Pipeline } from './pipelines.ts';

const CACHED_BIND_GROUPS = 8192;
/** Bind groups that are made until those out of use are collected, see `collectGarbage`. */
const GROUPS_PER_COLLECTION = 8192;

/** Bind groups of a slot of parameters and the buffers of a kernel; those of eager dispatches are kept by layout and buffers. */
export function createBindGroups(device: GPUDevice) {
  const cached = new Map<string, GPUBindGroup>();
  let made = 0;

  /** One that the caller keeps. `offset`: where its parameters are. */
  function create(
    layout: Pipeline['layout'],
    parameters: GPUBuffer,
    buffers: readonly PooledBuffer[],
    offset = 0,
  ): GPUBindGroup {
    made++;
    return device.createBindGroup({
      layout: layout.gpu,
      entries: [
        { binding: 0, resource: { buffer: parameters, offset, size: SLOT_BYTES } },
        ...buffers.map((buffer, i) => ({ binding: i + 1, resource: { buffer: buffer.gpu } })),
      ],
    });
  }

  return {
    create,
    /** One whose parameters are found at an offset that is given with each dispatch; always of the same `parameters`. */
    get(layout: Pipeline['layout'], parameters: GPUBuffer, buffers: readonly PooledBuffer[]): GPUBindGroup {
      let key = layout.key;
      for (const buffer of buffers) key += `,${buffer.id}`;
      let group = cached.get(key);
      if (!group) {
        if (cached.size >= CACHED_BIND_GROUPS) cached.clear();
        group = create(layout, parameters, buffers);
        cached.set(key, group);
      }
      return group;
    },
    /** A destroyed buffer's bind groups must not be used again. Destruction is rare, so all are dropped. */
    forget(): void {
      cached.clear();
    },
    collectWhenMany(): void {
      if (made < GROUPS_PER_COLLECTION) return;
      made = 0;
      collectGarbage();
    },
  };
}
