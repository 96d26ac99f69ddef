import { type Device, openDevice } from '@dawnchorus/tensor';
import { UsageError } from './options.ts';

/** How adapters are come by: the best, the system's software one, the one that npm brought. */
const ways = [
  { software: false },
  { software: true },
  // Without a driver of the system the bundled one is what is left.
  { software: true, drivers: '/nonexistent' },
];

/** @throws UsageError with the adapters that there are, when none has this name. */
export async function openAdapter(name: string | undefined, log: (line: string) => void): Promise<Device> {
  if (name === undefined) return openDevice({ log });
  if (name === 'software') return openDevice({ software: true, log });
  const seen: string[] = [];
  for (const { software, drivers } of ways) {
    if (drivers) process.env.VK_DRIVER_FILES = drivers;
    let line = '';
    let device: Device;
    try {
      device = await openDevice({ software, log: (text) => (line = text) });
    } catch {
      continue;
    }
    if (device.adapter.name.toLowerCase().includes(name.toLowerCase())) {
      log(line);
      return device;
    }
    if (!seen.includes(device.adapter.name)) seen.push(device.adapter.name);
    device.close();
  }
  throw new UsageError(`bench: no adapter has '${name}' in its name; there are: ${seen.join(', ') || 'none'}`);
}
