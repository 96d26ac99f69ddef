import type { AdapterDescription, Device } from '@dawnchorus/tensor';
import { findDawnAdapter } from '../../../packages/tensor/src/device/dawn.ts';

const same = (a: AdapterDescription, b: AdapterDescription) => a.name === b.name && a.driver === b.driver;

/** The adapter that a device is on, as an object of its own: one is used up by the device made from it. */
async function findAgain({ adapter: wanted }: Pick<Device, 'adapter'>): Promise<GPUAdapter> {
  for (const software of [false, true]) {
    const { adapter, description } = await findDawnAdapter({ software });
    if (same(description, wanted)) return adapter;
  }
  throw new Error(`the adapter ${wanted.name} is not found a second time`);
}

/** Peers find WebGPU where browsers have it. They get the adapter that our device is on. */
export function offerWebGpu(device: Pick<Device, 'adapter'>): void {
  const gpu = {
    requestAdapter: () => findAgain(device),
    getPreferredCanvasFormat: () => 'bgra8unorm',
    wgslLanguageFeatures: new Set<string>(),
  };
  Object.defineProperty(globalThis, 'navigator', {
    value: { gpu, userAgent: 'node', platform: process.platform, hardwareConcurrency: 1 },
    configurable: true,
  });
}
