import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { create, globals } from 'webgpu';
import { describeAdapter, type FoundAdapter } from './adapters.ts';
import { provideSwiftShader } from './swiftshader.ts';

/**
 * Dawn's entry objects. They stay referenced for the life of the process: once collected while a device of theirs
 * lives, the process crashes. Idle, they do not keep Node running.
 */
const instances: GPU[] = [];

export interface DawnOptions {
  /** Dawn toggles to turn on. */
  readonly enable?: readonly string[];
  /** Dawn toggles to turn off. */
  readonly disable?: readonly string[];
  /** Pass over hardware adapters. */
  readonly software?: boolean;
  /** Whether shaders clamp their indices on hardware, too, and zero the memory of workgroups. Default: no. */
  readonly robust?: boolean;
}

function createInstance(options: DawnOptions, extra: readonly string[] = []): GPU {
  Object.assign(globalThis, globals);
  // Without the first, NVIDIA's driver hides f16 and with it the matrix units, which the second lets through.
  const enable = ['vulkan_enable_f16_on_nvidia', 'allow_unsafe_apis', ...extra, ...(options.enable ?? [])];
  // Zeroing is written out element by element on SwiftShader, where it takes most of the time that such kernels compile.
  if (!options.robust) enable.push('disable_workgroup_init');
  const flags = [`enable-dawn-features=${enable.join(',')}`];
  // Timestamps rounded to a tenth of a millisecond guard web pages from each other; here they would only blur profiles.
  flags.push(`disable-dawn-features=${['timestamp_quantization', ...(options.disable ?? [])].join(',')}`);
  const gpu = create(flags);
  instances.push(gpu);
  return gpu;
}

/**
 * Whether the Vulkan loader could find any driver: on Linux it reads manifests from these folders alone. Without one,
 * asking Dawn is in vain and makes it print warnings that look like failures.
 */
function hasVulkanDriver(): boolean {
  const { env } = process;
  if (process.platform !== 'linux') return true;
  if (env.VK_DRIVER_FILES || env.VK_ICD_FILENAMES || env.VK_ADD_DRIVER_FILES) return true;
  const home = homedir();
  const roots = [
    env.XDG_CONFIG_HOME || join(home, '.config'),
    env.XDG_DATA_HOME || join(home, '.local', 'share'),
    ...(env.XDG_CONFIG_DIRS || '/etc/xdg').split(':'),
    ...(env.XDG_DATA_DIRS || '/usr/local/share:/usr/share').split(':'),
    '/usr/local/etc',
    '/etc',
    '/usr/local/share',
    '/usr/share',
  ];
  return roots.some((root) => {
    const folder = join(root, 'vulkan', 'icd.d');
    return existsSync(folder) && readdirSync(folder).some((name) => name.endsWith('.json'));
  });
}

async function request(gpu: GPU, options: GPURequestAdapterOptions): Promise<GPUAdapter | null> {
  try {
    return await gpu.requestAdapter(options);
  } catch {
    return null;
  }
}

/** The search that was begun last. */
let searching: Promise<unknown> = Promise.resolve();

/**
 * A hardware adapter through Dawn, else a software adapter of the system, else the bundled SwiftShader.
 * Throws an error that lists what was tried.
 */
export function findDawnAdapter(options: DawnOptions): Promise<FoundAdapter> {
  // One after another: SwiftShader is shown to Dawn by a variable of the whole process.
  const found = searching.then(() => search(options));
  searching = found.catch(() => {});
  return found;
}

async function search(options: DawnOptions): Promise<FoundAdapter> {
  const tried: string[] = [];
  if (hasVulkanDriver()) {
    const gpu = createInstance(options);
    if (!options.software) {
      // Dawn puts hardware first, so a software adapter here means that there is no other.
      const adapter = await request(gpu, { powerPreference: 'high-performance' });
      const description = adapter && describeAdapter(adapter, 'Dawn');
      if (adapter && description) {
        if (options.robust || description.software) return { adapter, description };
        // Clamps cost matrix units half of their speed, and all kernels here are tested without them.
        const quick = createInstance(options, ['disable_robustness']);
        const same = await request(quick, { powerPreference: 'high-performance' });
        return { adapter: same ?? adapter, description };
      }
      tried.push('a hardware adapter through Dawn: none');
    }
    const fallback = await request(gpu, { forceFallbackAdapter: true });
    if (fallback) return { adapter: fallback, description: describeAdapter(fallback, 'Dawn') };
    tried.push('a software adapter installed on the system: none');
  } else {
    tried.push('a hardware adapter through Dawn: no Vulkan driver is installed');
    tried.push('a software adapter installed on the system: none');
  }

  const before = process.env.VK_DRIVER_FILES;
  const reason = provideSwiftShader();
  if (reason === undefined) {
    const adapter = await request(createInstance(options), {});
    if (before === undefined) delete process.env.VK_DRIVER_FILES;
    else process.env.VK_DRIVER_FILES = before;
    if (adapter) return { adapter, description: describeAdapter(adapter, 'bundled SwiftShader') };
    tried.push('the bundled SwiftShader: unpacked, but Dawn found no adapter in it');
  } else {
    tried.push(`the bundled SwiftShader: ${reason}`);
  }
  throw new Error(
    `openDevice: no WebGPU adapter was found. Tried:\n${tried.map((line) => `  - ${line}`).join('\n')}\n` +
      'Install your GPU vendor’s Vulkan driver; or, on Debian and Ubuntu, a software one: ' +
      'apt-get install libvulkan1 mesa-vulkan-drivers; or the bundled one: npm install @sparticuz/chromium@147.0.0',
  );
}

let collect: (() => void) | undefined;

/**
 * Collects garbage now. WebGPU has no way to give bind groups back, and V8 does not know what memory stands behind them:
 * lavapipe maps some for each, and crashes where a process has no more maps (65,530 by default on Linux).
 */
export function collectGarbage(): void {
  if (!collect) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}
