/**
 * Random numbers on the host, for what decides shapes and indices: crops, masks, mixing, order. A generator depends on
 * its seeds alone, so a resumed run draws what the unbroken one would have drawn.
 */
export interface HostRandom {
  /** Uniform in [0, 1). */
  uniform(): number;
  /** A whole number of [low, high], both included. */
  integer(low: number, high: number): number;
}

/** Mixes words into one 32-bit hash (MurmurHash3's finaliser over a running sum). */
function hash(words: readonly number[]): number {
  let h = 0x9e3779b9;
  for (const word of words) {
    h = Math.imul(h ^ (word >>> 0), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13) ^ (Math.floor(word / 2 ** 32) >>> 0), 0xc2b2ae35);
    h ^= h >>> 16;
  }
  return h >>> 0;
}

/** What a draw is for; each has streams of its own. */
export const purpose = { order: 1, crop: 2, mask: 3, mixture: 4, rvq: 5, kmeans: 7, replacement: 8 } as const;

/** sfc32 (Chris Doty-Humphrey's PractRand generators), seeded by a list of whole numbers. */
export function hostRandom(...seeds: number[]): HostRandom {
  let a = hash([...seeds, 1]);
  let b = hash([...seeds, 2]);
  let c = hash([...seeds, 3]);
  let counter = 1;
  const next = () => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i++) next();
  const uniform = () => (next() * 2 ** 21 + (next() >>> 11)) / 2 ** 53;
  return { uniform, integer: (low, high) => low + Math.floor(uniform() * (high - low + 1)) };
}

/** `count` distinct numbers of 0..size-1, in the order drawn (Fisher and Yates). */
export function sampleWithoutReplacement(random: HostRandom, size: number, count: number): number[] {
  const pool = Array.from({ length: size }, (_, i) => i);
  for (let i = 0; i < count; i++) {
    const j = random.integer(i, size - 1);
    [pool[i], pool[j]] = [pool[j], pool[i]];
  }
  return pool.slice(0, count);
}
