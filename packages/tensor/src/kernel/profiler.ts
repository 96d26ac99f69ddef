import { bytesPerElement } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';
import type { Work } from './recorder.ts';

/** What an operation, or several that share a kernel, reads, writes and computes. */
export interface Cost {
  /** Name in profiles. */
  readonly operation: string;
  /** Bytes of inputs and outputs, each counted once. */
  readonly bytes: number;
  /** Floating-point operations; a multiply-add counts two. */
  readonly flops: number;
  /** In compiled functions: how many dispatches it takes. */
  readonly dispatches?: number;
}

/**
 * `gpu`: timestamps that the GPU takes before and after each kernel. `wall`: the time from a kernel's submission until
 * the host hears that it is done, one kernel at a time.
 */
export type ProfileTiming = 'gpu' | 'wall';

/** One dispatch. */
export interface ProfileEvent {
  readonly kernel: string;
  /** Shared by the dispatches of one application of an operation. */
  readonly application: Cost;
  /** Microseconds, from an arbitrary zero. */
  readonly start: number;
  readonly end: number;
}

/** Two a dispatch. */
const QUERIES = 2048;

/** Bytes of the distinct elements: an axis along which they repeat counts once. */
function bytesOf({ shape, strides, dtype }: Tensor): number {
  return shape.reduce((count, extent, d) => (strides[d] === 0 ? count : count * extent), bytesPerElement(dtype));
}

function costOf({ name, op, inputs, outputs, attributes }: Work): Cost {
  const flops =
    op.kind === 'kernel' && op.flops
      ? op.flops(inputs, outputs, attributes)
      : outputs.reduce((sum, { size }) => sum + size, 0);
  const bytes = [...inputs, ...outputs].reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  return { operation: name, bytes, flops };
}

/**
 * Turns stamps of the GPU, in nanoseconds from any zero, into microseconds since the first of them: since 1970, doubles
 * would tell quarters of a microsecond apart at best. Stamps that the driver did not write are 0.
 */
export function createStampClock() {
  let origin: bigint | undefined;
  const since = (stamp: bigint) => Number(stamp - (origin as bigint)) / 1e3;
  return {
    /** A stamp that is not there, or came before the start, counts as no time. */
    interval(start: bigint, end: bigint): { start: number; end: number } {
      const [from, to] = [start || end, end || start];
      if (from === 0n) return { start: 0, end: 0 };
      origin ??= from;
      return { start: since(from), end: Math.max(since(from), since(to)) };
    },
  };
}

/**
 * Takes down how long each dispatch takes. While it is set, the recorder gives each dispatch a pass of its own; with
 * wall times also a submit of its own, which waits for the one before.
 */
export function createProfiler(device: GPUDevice, timing: ProfileTiming) {
  const stamped = timing === 'gpu';
  const querySet = stamped ? device.createQuerySet({ type: 'timestamp', count: QUERIES }) : undefined;
  const resolved = stamped
    ? device.createBuffer({ size: QUERIES * 8, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC })
    : undefined;
  const clock = createStampClock();
  const events: ProfileEvent[] = [];
  let open: { kernel: string; application: Cost }[] = [];
  let latest: { work: Work; cost: Cost } | undefined;
  /** What a compiled function is at, and how many dispatches of it are to come. */
  let replayed: { cost: Cost; application: Cost; left: number } | undefined;
  /** Ends when everything deferred so far has been done. */
  let chain = Promise.resolve();
  const readbacks: Promise<void>[] = [];

  function applicationOf(kernel: string, work: Work | Cost | undefined): Cost {
    if (!work) return { operation: kernel, bytes: 0, flops: 0 };
    if ('operation' in work) {
      if (replayed?.cost !== work || replayed.left === 0) {
        const { operation, bytes, flops, dispatches = 1 } = work;
        replayed = { cost: work, application: { operation, bytes, flops }, left: dispatches };
      }
      replayed.left--;
      return replayed.application;
    }
    if (latest?.work !== work) latest = { work, cost: costOf(work) };
    return latest.cost;
  }

  return {
    timing,
    /** Called for each dispatch. Returns what the pass needs for its stamps. */
    begin(kernel: string, work: Work | Cost | undefined): GPUComputePassTimestampWrites | undefined {
      const at = open.length * 2;
      open.push({ kernel, application: applicationOf(kernel, work) });
      return querySet && { querySet, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
    },
    /** True when what has been recorded must be submitted before the next dispatch. */
    get full(): boolean {
      return stamped ? open.length * 2 >= QUERIES : open.length > 0;
    },
    /** Called with the encoder before it is finished. Returns what to do after the submit. */
    resolve(encoder: GPUCommandEncoder): () => void {
      if (!querySet || !resolved || open.length === 0) return () => {};
      const mine = open;
      open = [];
      const bytes = mine.length * 16;
      const staging = device.createBuffer({ size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
      encoder.resolveQuerySet(querySet, 0, mine.length * 2, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
      return () => {
        const read = () => {
          const stamps = new BigUint64Array(staging.getMappedRange().slice(0));
          mine.forEach((each, i) => {
            events.push({ ...each, ...clock.interval(stamps[2 * i], stamps[2 * i + 1]) });
          });
          staging.destroy();
        };
        // It fails when the device is lost, which is told elsewhere.
        readbacks.push(staging.mapAsync(GPUMapMode.READ).then(read, () => {}));
      };
    },
    /**
     * With wall times, work for the queue waits for its turn, so that each submit can be waited for alone. `action` is
     * done after everything deferred before, and timed if dispatches have been begun for it.
     */
    defer(action: () => void): void {
      const mine = open;
      open = [];
      chain = chain.then(async () => {
        const start = performance.now() * 1e3;
        action();
        if (mine.length === 0) return;
        await device.queue.onSubmittedWorkDone();
        for (const each of mine) events.push({ ...each, start, end: performance.now() * 1e3 });
      });
    },
    /** Settles when everything deferred has been done. */
    drained: () => chain,
    async finish(): Promise<ProfileEvent[]> {
      await chain;
      await Promise.all(readbacks);
      querySet?.destroy();
      resolved?.destroy();
      return events.sort((a, b) => a.start - b.start);
    },
  };
}

export type Profiler = ReturnType<typeof createProfiler>;
