/** What is known about an adapter, for people to read. */
export interface AdapterDescription {
  /** e.g. "nvidia-h200" or "SwiftShader". */
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  /** Driver, as it names itself. */
  readonly driver: string;
  /** True when the shaders run on the CPU. */
  readonly software: boolean;
  /** How many threads a subgroup has, least and most; undefined where there are none or nobody says. */
  readonly subgroupSizes?: readonly [least: number, most: number];
  /** Products that matrix units do, for `chromium_experimental_subgroup_matrix`; empty where there are none. */
  readonly matrixUnits: readonly MatrixUnit[];
  /** Where it came from. */
  readonly source: 'browser' | 'Dawn' | 'bundled SwiftShader';
}

/** [M, K] x [K, N] that a subgroup multiplies at once: elements of `component` summed in `result`. */
export interface MatrixUnit {
  readonly component: string;
  readonly result: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What Dawn tells of an adapter beyond WebGPU's types. */
interface MatrixInfo {
  readonly subgroupMatrixConfigs?: Iterable<{
    componentType: string;
    resultComponentType: string;
    M: number;
    N: number;
    K: number;
  }>;
}

export interface FoundAdapter {
  readonly adapter: GPUAdapter;
  readonly description: AdapterDescription;
}

const softwareNames = /swiftshader|llvmpipe|lavapipe|softpipe|software|basic render|warp\b/i;

export function describeAdapter(adapter: GPUAdapter, source: AdapterDescription['source']): AdapterDescription {
  const info = adapter.info;
  const text = [info.device, info.description, info.architecture, info.vendor].join(' ');
  const software = info.isFallbackAdapter || softwareNames.test(text);
  const { subgroupMinSize, subgroupMaxSize } = info;
  const configs = adapter.features.has('chromium-experimental-subgroup-matrix' as GPUFeatureName)
    ? [...((info as MatrixInfo).subgroupMatrixConfigs ?? [])]
    : [];
  const name = info.device || info.architecture || info.vendor || 'unnamed adapter';
  return {
    name: /swiftshader/i.test(text) ? 'SwiftShader' : name,
    vendor: info.vendor,
    architecture: info.architecture,
    driver: info.description,
    software,
    subgroupSizes: adapter.features.has('subgroups') ? [subgroupMinSize, subgroupMaxSize] : undefined,
    matrixUnits: configs.map(({ componentType, resultComponentType, M, N, K }) => ({
      component: componentType,
      result: resultComponentType,
      M,
      N,
      K,
    })),
    source,
  };
}

/** The line that is printed when a device opens. */
export function adapterLine(adapter: AdapterDescription): string {
  const where = [adapter.vendor, adapter.driver].filter(Boolean).join(', ');
  const line = `adapter: ${adapter.name}${where ? ` (${where})` : ''} through ${adapter.source}`;
  if (!adapter.software) return line;
  return `${line}; a software adapter: shaders run on the CPU, tens to hundreds of times slower than on a GPU, because no GPU driver was found`;
}
