import type { SafetensorsTensor } from '@dawnchorus/formats';
import { readSafetensors } from '@dawnchorus/formats';
import type { Weights } from '../src/codec/weights.ts';
import { goldenPath } from './support.ts';

/** Noise of the golden data in [-1, 1), made again bit for bit from its name. */
export function hashNoise(name: string, count: number): Float32Array {
  let seed = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) seed = Math.imul(seed ^ byte, 0x01000193);
  return Float32Array.from({ length: count }, (_, i) => {
    let x = (Math.imul(i, 0x9e3779b9) + seed) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    x ^= x >>> 16;
    return (x >>> 8) * 2 ** -23 - 1;
  });
}

/** The tensors of a golden file whose names begin with `prefix`, by what follows. */
export async function goldenWeights(name: string, prefix: string): Promise<Map<string, SafetensorsTensor>> {
  const all = await readSafetensors(goldenPath(name));
  return new Map(
    [...all].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => [key.slice(prefix.length), value]),
  );
}

/** A key of the real 24 kHz model by its three spellings. */
export interface CodecKey {
  fb: string;
  hf: string;
  hf_parametrized: string;
  shape: number[];
}

/** The weights of golden/encodec_full, by the rule that made them and encodec's names. */
export function fullWeights(keys: readonly CodecKey[]): Weights {
  return new Map(
    keys.map(({ fb, shape }) => {
      const count = shape.reduce((a, b) => a * b, 1);
      return [fb, { dtype: 'F32', shape, data: byRule(fb, count) }];
    }),
  );
}

function byRule(key: string, count: number): Float32Array {
  const noise = (name = key) => hashNoise(`w/${name}`, count);
  if (key.endsWith('.inited')) return new Float32Array(count).fill(1);
  if (key.endsWith('.cluster_size')) return new Float32Array(count).fill(10);
  const codebook = /layers\.(\d+)\._codebook/.exec(key);
  if (codebook) {
    const scale = 0.6 * 0.75 ** Number(codebook[1]);
    return noise(key.replace(/embed_avg$/, 'embed')).map((u) => scale * u);
  }
  if (key.includes('.lstm.')) return noise().map((u) => u / Math.sqrt(512));
  if (key.endsWith('.weight_g')) return noise().map((u) => 1.2 + 0.2 * u);
  if (key.endsWith('.bias')) return noise().map((u) => 0.1 * u);
  return noise();
}

/**
 * How many codes differ from the golden ones, [codebooks, frames] both, where `gap` says that no other entry is as near;
 * and how many were compared. What follows a doubtful code in its frame is doubtful, too.
 */
export function wrongCodes(
  codes: ArrayLike<number>,
  golden: ArrayLike<number>,
  gap: ArrayLike<number>,
  { frames, least }: { frames: number; least: number },
): { wrong: number; compared: number } {
  let [wrong, compared] = [0, 0];
  for (let t = 0; t < frames; t++) {
    for (let at = t; at < gap.length && gap[at] > least; at += frames) {
      compared++;
      if (codes[at] !== golden[at]) {
        wrong++;
        break;
      }
    }
  }
  return { wrong, compared };
}
