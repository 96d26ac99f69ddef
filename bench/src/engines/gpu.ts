import { findDawnAdapter } from '../../../packages/tensor/src/device/dawn.ts';

/**
 * Peers find WebGPU where browsers have it. They get the adapter that our device is on, each an object of its own: one is
 * used up by the device made from it.
 */
export function offerWebGpu(software: boolean): void {
  const gpu = {
    requestAdapter: async () => (await findDawnAdapter({ software })).adapter,
    getPreferredCanvasFormat: () => 'bgra8unorm',
    wgslLanguageFeatures: new Set<string>(),
  };
  Object.defineProperty(globalThis, 'navigator', {
    value: { gpu, userAgent: 'node', platform: process.platform, hardwareConcurrency: 1 },
    configurable: true,
  });
}
