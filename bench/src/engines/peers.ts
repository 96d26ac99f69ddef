import type { Device } from '@dawnchorus/tensor';
import type { Engine, Timing } from './engine.ts';
import { offerWebGpu } from './gpu.ts';
import { MissingPeer } from './install.ts';
import { jaxEngine } from './jax.ts';
import { tfjsEngine } from './tfjs.ts';
import { torchEngine } from './torch.ts';

/** The peers that are there; `log` hears of those that are not. */
export async function openPeers(device: Device, timing: Timing, log: (line: string) => void): Promise<Engine[]> {
  offerWebGpu(device);
  const byWall = (open: () => Promise<Engine>): Promise<Engine> => {
    if (timing === 'gpu') throw new MissingPeer('its kernels cannot be timed alone; --timing wall times it');
    return open();
  };
  const ways = {
    'tfjs-webgpu': () => byWall(() => tfjsEngine(device.adapter.name)),
    'jax-js-webgpu': () => byWall(() => jaxEngine(device.adapter.name)),
    torch: () => torchEngine(timing),
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
