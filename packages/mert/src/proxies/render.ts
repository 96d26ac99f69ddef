/** Segments of MIDI as sound, by fluidsynth. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readAudio } from '@dawnchorus/dsp';
import type { Font } from './fonts.ts';
import { midiFile, type Segment } from './midi.ts';
import { runProgram } from './programs.ts';

/** Hz of every proxy. */
export const SAMPLE_RATE = 24000;
/** Seconds of rest between segments, in which the last notes die away. */
const REST = 2;

/**
 * Plays segments with one sound font in one run of fluidsynth, without reverberation or chorus. Mono, one array a
 * segment, as long as it says. The same segments give the same samples.
 */
export async function renderSegments(font: Font, segments: readonly Segment[]): Promise<Float32Array[]> {
  if (segments.length === 0) return [];
  const folder = await mkdtemp(join(tmpdir(), 'dawnchorus-proxy-'));
  try {
    let end = 0;
    const placed = segments.map((segment) => {
      const at = end;
      end += Math.ceil(segment.seconds) + REST;
      return { at, segment };
    });
    const [midi, wav] = [join(folder, 'in.mid'), join(folder, 'out.wav')];
    await writeFile(midi, midiFile(placed, end));
    const options = ['-ni', '-q', '-R', '0', '-C', '0', '-r', String(SAMPLE_RATE), '-g', '0.4'];
    const settings = ['-O', 'float', '-T', 'wav', '-F', wav];
    const said = await runProgram('fluidsynth', [...options, ...settings, font.path, midi]);
    const { samples } = await readAudio(wav, { sampleRate: SAMPLE_RATE }).catch((cause: Error) => {
      throw new Error(`fluidsynth wrote no sound with ${font.path}: ${said.trim() || cause.message}`, { cause });
    });
    return placed.map(({ at, segment }) => {
      const out = new Float32Array(Math.round(segment.seconds * SAMPLE_RATE));
      out.set(samples.subarray(at * SAMPLE_RATE, at * SAMPLE_RATE + out.length));
      return out;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The factor that brings a sound to a level (root mean square 0.1) without clipping, or 0 for silence. */
export function levelGain(samples: Float32Array): number {
  let [sum, peak] = [0, 0];
  for (const value of samples) {
    sum += value * value;
    peak = Math.max(peak, Math.abs(value));
  }
  const level = Math.sqrt(sum / samples.length);
  return level < 1e-5 ? 0 : Math.min(0.1 / level, 0.95 / peak);
}
