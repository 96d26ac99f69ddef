import type { Cost, ProfileEvent, ProfileTiming } from './profiler.ts';

/** What a device can do at best, measured. */
export interface DevicePeak {
  /** Bytes read and written by a copy. */
  readonly bytesPerSecond: number;
  /** f32 multiply-adds in registers, each counting two. */
  readonly flopsPerSecond: number;
  /** Products of f16 matrices summed in f32 by matrix units; undefined where the adapter has none. */
  readonly matrixFlopsPerSecond?: number;
}

/** The ceilings in words. */
export function peakText({ bytesPerSecond, flopsPerSecond, matrixFlopsPerSecond }: DevicePeak): string {
  const parts = [`${(bytesPerSecond / 1e9).toFixed(1)} GB/s`, `${(flopsPerSecond / 1e9).toFixed(0)} GFLOP/s (f32)`];
  if (matrixFlopsPerSecond !== undefined) {
    parts.push(`${(matrixFlopsPerSecond / 1e9).toFixed(0)} GFLOP/s (matrix units, f16)`);
  }
  return parts.join(', ');
}

/** A kernel as one operation uses it, all dispatches together. */
export interface ProfileRow {
  readonly operation: string;
  readonly kernel: string;
  readonly dispatches: number;
  readonly milliseconds: number;
  /** Bytes of the operation's inputs and outputs. Where an operation has several kernels they share by their time. */
  readonly bytes: number;
  /** Floating-point operations, shared likewise. */
  readonly flops: number;
}

/** How long kernels took, and how that compares with what the device can do. `String(profile)` is a table. */
export interface Profile {
  readonly timing: ProfileTiming;
  /** Longest first. */
  readonly rows: readonly ProfileRow[];
  /** All kernels together. */
  readonly milliseconds: number;
  /** From the first call to the last result, on the host, with what profiling adds. */
  readonly elapsedMilliseconds: number;
  readonly peak: DevicePeak;
  readonly events: readonly ProfileEvent[];
  /** The table of operations and kernels. */
  toString(): string;
  /**
   * The text of a trace file for chrome://tracing and ui.perfetto.dev: one track of kernels, each with its share of the
   * bytes and FLOPs of its operation, and one of operations, in microseconds.
   */
  toChromeTrace(): string;
}

/** Consecutive events of one application of an operation. */
function applications(events: readonly ProfileEvent[]): { application: Cost; events: ProfileEvent[] }[] {
  const found: { application: Cost; events: ProfileEvent[] }[] = [];
  for (const event of events) {
    const last = found.at(-1);
    if (last?.application === event.application) last.events.push(event);
    else found.push({ application: event.application, events: [event] });
  }
  return found;
}

/** What each event cost: those of one application of an operation share its bytes and FLOPs by their time. */
function shares(events: readonly ProfileEvent[]): Map<ProfileEvent, Cost> {
  const together = new Map<Cost, ProfileEvent[]>();
  for (const event of events) {
    const own = together.get(event.application);
    if (own) own.push(event);
    else together.set(event.application, [event]);
  }
  const found = new Map<ProfileEvent, Cost>();
  for (const [{ operation, bytes, flops }, own] of together) {
    const total = own.reduce((sum, { start, end }) => sum + end - start, 0);
    for (const event of own) {
      const share = total > 0 ? (event.end - event.start) / total : 1 / own.length;
      found.set(event, { operation, bytes: bytes * share, flops: flops * share });
    }
  }
  return found;
}

function rowsOf(events: readonly ProfileEvent[]): ProfileRow[] {
  const rows = new Map<string, { -readonly [K in keyof ProfileRow]: ProfileRow[K] }>();
  for (const [{ kernel, start, end }, { operation, bytes, flops }] of shares(events)) {
    const key = `${operation}|${kernel}`;
    const row = rows.get(key) ?? { operation, kernel, dispatches: 0, milliseconds: 0, bytes: 0, flops: 0 };
    row.dispatches++;
    row.milliseconds += (end - start) / 1e3;
    row.bytes += bytes;
    row.flops += flops;
    rows.set(key, row);
  }
  return [...rows.values()].sort((a, b) => b.milliseconds - a.milliseconds);
}

const timings: Record<ProfileTiming, string> = {
  gpu: 'GPU time by timestamps',
  wall: 'wall time from submit to done, one kernel at a time (no timestamps)',
};

/** Kernels that use matrix units have `matrix` in their names. */
const ceilingOf = (kernel: string, { flopsPerSecond, matrixFlopsPerSecond }: DevicePeak) =>
  (kernel.includes('matrix') ? matrixFlopsPerSecond : undefined) ?? flopsPerSecond;

function table({ rows, timing, milliseconds, elapsedMilliseconds, peak }: Omit<Profile, 'toString' | 'toChromeTrace'>) {
  const percent = (share: number) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
  const perSecond = (amount: number, ms: number) => (ms > 0 ? amount / ms / 1e6 : 0);
  const rate = (amount: number, ms: number, best: number) => {
    const value = perSecond(amount, ms);
    return value > 0 ? [value.toFixed(value < 10 ? 2 : 0), percent((value * 1e9) / best)] : ['', ''];
  };
  const cells = rows.map((row) => [
    row.operation,
    row.kernel,
    String(row.dispatches),
    row.milliseconds.toFixed(3),
    milliseconds > 0 ? percent(row.milliseconds / milliseconds) : '',
    (row.bytes / 1e6).toFixed(2),
    ...rate(row.bytes, row.milliseconds, peak.bytesPerSecond),
    (row.flops / 1e6).toFixed(2),
    ...rate(row.flops, row.milliseconds, ceilingOf(row.kernel, peak)),
  ]);
  const heads = [
    'operation',
    'kernel',
    'dispatches',
    'ms',
    'of time',
    'MB',
    'GB/s',
    'of peak',
    'MFLOP',
    'GFLOP/s',
    'of peak',
  ];
  const widths = heads.map((head, i) => Math.max(head.length, ...cells.map((row) => row[i].length)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ');
  return [
    `${milliseconds.toFixed(3)} ms in kernels of ${elapsedMilliseconds.toFixed(3)} ms; ${timings[timing]}`,
    `peak, measured: ${peakText(peak)}`,
    line(heads),
    ...cells.map(line),
  ].join('\n');
}

function chromeTrace(events: readonly ProfileEvent[], timing: ProfileTiming, device: string): string {
  const zero = events[0]?.start ?? 0;
  let free = 0;
  // Slices of one track must not overlap in part: where kernels did, the later one starts when the earlier has ended.
  const kernels = events.map((event) => {
    const start = Math.max(event.start - zero, free);
    free = Math.max(free, event.end - zero);
    return { ...event, start, end: Math.max(start, event.end - zero) };
  });
  const costs = shares(events);
  const slice = (name: string, tid: number, start: number, end: number, { operation, bytes, flops }: Cost) => ({
    name,
    cat: tid === 1 ? 'kernel' : 'operation',
    ph: 'X',
    pid: 1,
    tid,
    ts: start,
    dur: end - start,
    args: { operation, bytes: Math.round(bytes), flops: Math.round(flops) },
  });
  const named = (what: string, tid: number, name: string) => ({
    name: what,
    ph: 'M',
    pid: 1,
    tid,
    ts: 0,
    args: { name },
  });
  const traceEvents = [
    named('process_name', 0, device),
    named('thread_name', 1, `kernels (${timings[timing]})`),
    named('thread_name', 2, 'operations'),
    ...kernels.map((event, i) => slice(event.kernel, 1, event.start, event.end, costs.get(events[i]) as Cost)),
    ...applications(kernels).map(({ application, events: own }) =>
      slice(application.operation, 2, own[0].start, own[own.length - 1].end, application),
    ),
  ];
  return JSON.stringify({ traceEvents, displayTimeUnit: 'ns' });
}

/** What a profiler took down, for people and for trace viewers. */
export function createProfile(
  events: readonly ProfileEvent[],
  timing: ProfileTiming,
  elapsedMilliseconds: number,
  peak: DevicePeak,
  device: string,
): Profile {
  const rows = rowsOf(events);
  const milliseconds = rows.reduce((sum, row) => sum + row.milliseconds, 0);
  const profile = { timing, rows, milliseconds, elapsedMilliseconds, peak, events };
  return {
    ...profile,
    toString: () => table(profile),
    toChromeTrace: () => chromeTrace(events, timing, device),
  };
}
