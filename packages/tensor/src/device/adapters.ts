/** What is known about an adapter, for people to read. */
export interface AdapterDescription {
  /** e.g. "NVIDIA H200" or "SwiftShader". */
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  /** Driver, as it names itself. */
  readonly driver: string;
  /** True when the shaders run on the CPU. */
  readonly software: boolean;
  /** Where it came from. */
  readonly source: 'browser' | 'Dawn' | 'bundled SwiftShader';
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
  const name = info.device || info.architecture || info.vendor || 'unnamed adapter';
  return {
    name: /swiftshader/i.test(text) ? 'SwiftShader' : name,
    vendor: info.vendor,
    architecture: info.architecture,
    driver: info.description,
    software,
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
