import { loadMeasured } from '#measured';
import type { Choices } from '../kernel/variants.ts';
import { checkBoolean, checkOptions } from '../ops/arguments.ts';
import { opTable } from '../ops/table.ts';
import { valueText } from '../shape.ts';
import { adapterLine, describeAdapter, type FoundAdapter } from './adapters.ts';
import { Device, setDefaultDevice } from './device.ts';
import { guardQueue } from './guard.ts';
import { throttlePolling } from './polling.ts';

/** What to look for in an adapter, and how to run on it. */
export interface OpenDeviceOptions {
  /** Called once with the line that names the adapter; default: standard error. */
  readonly log?: (line: string) => void;
  /** Pass over hardware adapters, e.g. to compare with a CPU driver. */
  readonly software?: boolean;
  /**
   * Whether shaders clamp their indices on hardware adapters, too, and begin with zeros in the memory of workgroups, against
   * mistakes in kernels: a little to twice as slow. Browsers always do both, software adapters clamp. Default: false.
   */
  readonly robust?: boolean;
  /** Dawn toggles to turn on beside those that matrix units need; Dawn passes over names that it does not know. Ignored in browsers. */
  readonly enable?: readonly string[];
  /**
   * Bytes of GPU memory that tensors and the pool of freed buffers may hold together. Beyond it the pool is emptied, then
   * allocation throws `OutOfMemoryError`. Default: whatever the GPU has.
   */
  readonly memoryLimit?: number;
  /**
   * For finding mistakes: every tensor remembers the line that made it (`device.leakReport()`, errors about disposed
   * tensors), and each operation runs between error scopes, so that an error of the GPU names the operation and the line.
   * Several times slower. Default: false.
   */
  readonly debug?: boolean;
  /**
   * Kernel variants by operation, e.g. `{ matmul: 'register' }`: taken wherever they can run. `'default'` takes none that
   * was measured on this adapter, so that results do not depend on what was. Default: what was measured.
   */
  readonly kernels?: 'default' | Readonly<Record<string, string>>;
  /** Dawn toggles to turn off. `timestamp_quantization` always is. Ignored in browsers. */
  readonly disable?: readonly string[];
}

/** Every option, so that a misspelt one is not passed over. */
const known: Record<keyof OpenDeviceOptions, true> = {
  log: true,
  software: true,
  robust: true,
  enable: true,
  memoryLimit: true,
  debug: true,
  kernels: true,
  disable: true,
};

function checkOpenOptions(options: OpenDeviceOptions): void {
  checkOptions('openDevice', options, Object.keys(known));
  for (const name of ['software', 'robust', 'debug'] as const) checkBoolean('openDevice', name, options[name]);
  const { memoryLimit, log, kernels = {} } = options;
  if (memoryLimit !== undefined && !(typeof memoryLimit === 'number' && memoryLimit > 0)) {
    throw new RangeError(`openDevice: memoryLimit ${valueText(memoryLimit)} is no number of bytes`);
  }
  if (log !== undefined && typeof log !== 'function') {
    throw new TypeError(`openDevice: log is ${valueText(log)}; expected a function of a line`);
  }
  // Which names there are only Dawn knows, and it passes over others.
  for (const name of ['enable', 'disable'] as const) {
    const toggles = options[name] ?? [];
    if (Array.isArray(toggles) && toggles.every((toggle) => typeof toggle === 'string')) continue;
    throw new TypeError(`openDevice: ${name} is ${valueText(toggles)}; expected names of Dawn toggles in an array`);
  }
  if (kernels !== 'default') checkPins(kernels);
}

/** That each pin names an operation with several kernels, and one of these. */
function checkPins(kernels: Readonly<Record<string, string>>): void {
  const families = Object.values(opTable).flatMap((op) => ('family' in op && op.family ? [op.family] : []));
  if (typeof kernels !== 'object' || kernels === null || Array.isArray(kernels)) {
    throw new TypeError(`openDevice: kernels is ${valueText(kernels)}; expected 'default' or { matmul: 'register' }`);
  }
  for (const [name, pin] of Object.entries(kernels)) {
    const family = families.find((own) => own.name === name);
    if (!family) {
      throw new RangeError(
        `openDevice: kernels names ${name}; operations with several kernels are ${families.map((own) => own.name).join(', ')}`,
      );
    }
    if (family.variants.some((variant) => variant.name === pin)) continue;
    throw new RangeError(
      `openDevice: kernels.${name} is ${valueText(pin)}; ${name} has ${family.variants.map((own) => own.name).join(', ')}`,
    );
  }
}

/** Of what is experimental matrix units alone are of use. */
const isWanted = (feature: string) =>
  !feature.startsWith('chromium-experimental') || feature === 'chromium-experimental-subgroup-matrix';

async function findAdapter(options: OpenDeviceOptions): Promise<FoundAdapter> {
  const browser = typeof navigator === 'undefined' ? undefined : navigator.gpu;
  if (browser) {
    const adapter = await browser.requestAdapter({ powerPreference: 'high-performance' });
    if (adapter) return { adapter, description: describeAdapter(adapter, 'browser') };
    if (typeof process === 'undefined') {
      throw new Error(
        'openDevice: this browser has navigator.gpu but no adapter; enable WebGPU or update the GPU driver',
      );
    }
  }
  if (typeof process === 'undefined' || !process.versions?.node) {
    throw new Error('openDevice: this browser has no WebGPU (navigator.gpu is missing); use a current one over https');
  }
  const { findDawnAdapter } = await import('#dawn');
  return findDawnAdapter(options);
}

/**
 * Opens a GPU: the browser's, else a hardware adapter through Dawn, else a software adapter of the system, else the
 * SwiftShader that npm package @sparticuz/chromium carries. The device has every feature and limit that the adapter
 * offers. The first device opened becomes the default of functions that make tensors.
 *
 * @throws TypeError or RangeError for options that there are not, and Error when there is no adapter, with what was tried and what to install.
 */
export async function openDevice(options: OpenDeviceOptions = {}): Promise<Device> {
  checkOpenOptions(options);
  const { memoryLimit, debug, kernels = {} } = options;
  const { adapter, description } = await findAdapter(options);
  const requiredLimits: Record<string, number> = {};
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') requiredLimits[name] = value;
  }
  const gpu = await adapter.requestDevice({
    requiredFeatures: [...adapter.features].filter(isWanted) as GPUFeatureName[],
    requiredLimits,
    label: 'dawnchorus',
  });
  if (description.source !== 'browser') {
    guardQueue(gpu);
    if (description.software) throttlePolling();
  }
  const choices: Choices =
    kernels === 'default'
      ? { pinned: {}, measured: new Map() }
      : { pinned: kernels, measured: loadMeasured(description) };
  const device = new Device(gpu, description, { memoryLimit, debug, choices });
  setDefaultDevice(device);
  (options.log ?? ((line: string) => console.error(line)))(adapterLine(description));
  return device;
}
