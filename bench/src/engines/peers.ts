import type { Device } from '@dawnchorus/tensor';
import type { Engine } from './engine.ts';
import { offerWebGpu } from './gpu.ts';
import { jaxEngine } from './jax.ts';
import { tfjsEngine } from './tfjs.ts';
import { torchEngine } from './torch.ts';

/** The peers that are there; `log` hears of those that are not. */
export async function openPeers(device: Device, log: (line: string) => void): Promise<Engine[]> {
  offerWebGpu(device);
  const ways = {
    'tfjs-webgpu': () => tfjsEngine(device.adapter.name),
    'jax-js-webgpu': () => jaxEngine(device.adapter.name),
    torch: () => torchEngine(),
  };
  const engines: Engine[] = [];
  for (const [name, open] of Object.entries(ways)) {
    try {
      const engine = await open();
      engines.push(engine);
      log(`${name}: on ${engine.adapter}`);
    } catch (error) {
      log(`${name}: skipped: ${(error as Error).message}`);
    }
  }
  return engines;
}
