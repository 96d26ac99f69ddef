/** Time on the GPU by kernel, longest first. */
export interface ProfileRow {
  kernel: string;
  dispatches: number;
  /** Milliseconds on the GPU, all dispatches together. */
  milliseconds: number;
}

/** Two a dispatch; a submit holds far fewer. */
const QUERIES = 1024;

/**
 * Measures dispatches with timestamp queries: while it runs, the recorder gives each dispatch a pass of its own whose
 * beginning and end are stamped.
 */
export function createProfiler(device: GPUDevice) {
  if (!device.features.has('timestamp-query')) {
    throw new Error('profile: this adapter has no timestamp-query');
  }
  const querySet = device.createQuerySet({ type: 'timestamp', count: QUERIES });
  const resolved = device.createBuffer({
    size: QUERIES * 8,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });
  const totals = new Map<string, ProfileRow>();
  let names: string[] = [];
  const readbacks: Promise<void>[] = [];

  return {
    /** The stamps of one dispatch. */
    stamps(kernel: string): GPUComputePassTimestampWrites {
      const at = names.length * 2;
      names.push(kernel);
      return { querySet, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
    },
    /** Called with the encoder before it is finished. Returns what to do after the submit. */
    resolve(encoder: GPUCommandEncoder): () => void {
      const mine = names;
      names = [];
      if (mine.length === 0) return () => {};
      const bytes = mine.length * 16;
      const staging = device.createBuffer({ size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
      encoder.resolveQuerySet(querySet, 0, mine.length * 2, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
      return () => {
        readbacks.push(
          staging.mapAsync(GPUMapMode.READ).then(() => {
            const stamps = new BigUint64Array(staging.getMappedRange().slice(0));
            mine.forEach((kernel, i) => {
              const row = totals.get(kernel) ?? { kernel, dispatches: 0, milliseconds: 0 };
              row.dispatches++;
              row.milliseconds += Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e6;
              totals.set(kernel, row);
            });
            staging.destroy();
          }),
        );
      };
    },
    async finish(): Promise<ProfileRow[]> {
      await Promise.all(readbacks);
      querySet.destroy();
      resolved.destroy();
      return [...totals.values()].sort((a, b) => b.milliseconds - a.milliseconds);
    },
  };
}

export type Profiler = ReturnType<typeof createProfiler>;
