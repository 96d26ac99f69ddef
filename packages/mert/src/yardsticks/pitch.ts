import { add, matmul, rfft, scope, select, square, tensor } from '@dawnchorus/tensor';

/** MIDI numbers that are considered. */
const [LOWEST, HIGHEST] = [21, 108];
const HARMONICS = 10;
/** How much each harmonic counts beside the one under it. */
const DECAY = 0.84;
/** Points of the transform: half a semitone of the lowest note is 0.8 Hz. */
const POINTS = 65536;
/** Notes in a transform. */
const AT_ONCE = 16;

const tables = new Map<number, Float32Array<ArrayBuffer>>();

/** Weights of bins for each pitch, row-major [bins, pitches]: a bump of a third of a semitone about each harmonic. */
function harmonicWeights(sampleRate: number): Float32Array<ArrayBuffer> {
  const known = tables.get(sampleRate);
  if (known) return known;
  const bins = POINTS / 2 + 1;
  const pitches = HIGHEST - LOWEST + 1;
  const weights = new Float32Array(bins * pitches);
  for (let pitch = 0; pitch < pitches; pitch++) {
    const f0 = 440 * 2 ** ((LOWEST + pitch - 69) / 12);
    for (let h = 1; h <= HARMONICS && h * f0 < sampleRate / 2; h++) {
      const width = 2 ** (1 / 36);
      const from = Math.ceil((h * f0 * POINTS) / sampleRate / width);
      const to = Math.min(bins - 1, Math.max(from, Math.floor(((h * f0 * POINTS) / sampleRate) * width)));
      for (let bin = from; bin <= to; bin++) {
        weights[bin * pitches + pitch] += DECAY ** (h - 1) / (to - from + 1);
      }
    }
  }
  tables.set(sampleRate, weights);
  return weights;
}

/**
 * The pitch of single notes by the sum of their harmonics, without learning. Waveforms of any lengths, one note each ->
 * MIDI numbers (21 to 108); silence gives the lowest.
 */
export async function notePitches(waveforms: readonly Float32Array[], sampleRate: number): Promise<number[]> {
  const weights = harmonicWeights(sampleRate);
  const pitches = HIGHEST - LOWEST + 1;
  const out: number[] = [];
  for (let first = 0; first < waveforms.length; first += AT_ONCE) {
    const batch = waveforms.slice(first, first + AT_ONCE);
    const windowed = new Float32Array(batch.length * POINTS);
    for (const [row, waveform] of batch.entries()) {
      const length = Math.min(POINTS, waveform.length);
      for (let i = 0; i < length; i++) {
        windowed[row * POINTS + i] = waveform[i] * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / length));
      }
    }
    const salience = scope(() => {
      const spectrum = rfft(tensor(windowed, { shape: [batch.length, POINTS] }));
      const power = add(square(select(spectrum, -1, 0)), square(select(spectrum, -1, 1)));
      // Fourth roots of energies: strong partials must not drown the others.
      return matmul(power.sqrt().sqrt(), tensor(weights, { shape: [POINTS / 2 + 1, pitches] }));
    });
    const values = (await salience.data()) as Float32Array;
    salience.dispose();
    for (let row = 0; row < batch.length; row++) {
      const own = values.subarray(row * pitches, (row + 1) * pitches);
      let best = 0;
      for (let i = 1; i < pitches; i++) if (own[i] > own[best]) best = i;
      out.push(LOWEST + best);
    }
  }
  return out;
}
