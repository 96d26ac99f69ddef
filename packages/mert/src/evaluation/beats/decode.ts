/**
 * Beats from how likely each frame is one: a hidden Markov model over tempo and place within the beat (Krebs, Böck and
 * Widmer, 2015), with the settings of madmom's DBNBeatTracker.
 */

/** Settings of the decoder. */
export interface BeatDecoderOptions {
  /** Frames a second. */
  framesPerSecond: number;
  minBpm?: number;
  maxBpm?: number;
  /** The larger, the steadier the tempo: a change of the interval by the factor r weighs exp(-lambda |r - 1|). */
  transitionLambda?: number;
  /** The first 1/lambda of a beat shows in the activation. */
  observationLambda?: number;
  /** Beats are looked for from the first to the last frame that is as likely as this. */
  threshold?: number;
}

const TINY = 1e-9;

/** What may follow the last frame of a beat of each length: predecessors of each length, with log weights. */
function transitions(intervals: readonly number[], lambda: number): { from: number; weight: number }[][] {
  const into: { from: number; weight: number }[][] = intervals.map(() => []);
  for (const [from, length] of intervals.entries()) {
    const weights = intervals.map((next) => Math.exp(-lambda * Math.abs(next / length - 1)));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    for (const [to, weight] of weights.entries()) {
      if (weight / sum > Number.EPSILON) into[to].push({ from, weight: Math.log(weight / sum) });
    }
  }
  return into;
}

/** The likeliest path: of each frame the place within its beat, and the beat's length. */
function viterbi(activation: ArrayLike<number>, intervals: readonly number[], lambda: number, observation: number) {
  const frames = activation.length;
  const into = transitions(intervals, lambda);
  const starts = intervals.map((_, k) => intervals.slice(0, k).reduce((sum, own) => sum + own, 0));
  const states = starts[starts.length - 1] + intervals[intervals.length - 1];
  const shown = intervals.map((length) => Math.ceil(length / observation));
  let scores = new Float64Array(states);
  let next = new Float64Array(states);
  const came = new Uint8Array(frames * intervals.length);
  for (let t = 0; t < frames; t++) {
    const p = Math.min(1 - TINY, Math.max(TINY, activation[t]));
    const gain = Math.log(p) - Math.log((1 - p) / (observation - 1));
    for (const [k, length] of intervals.entries()) {
      const start = starts[k];
      if (t === 0) {
        next.fill(0, start, start + length);
      } else {
        next.set(scores.subarray(start, start + length - 1), start + 1);
        let [best, from] = [Number.NEGATIVE_INFINITY, 0];
        for (const own of into[k]) {
          const score = scores[starts[own.from] + intervals[own.from] - 1] + own.weight;
          if (score > best) [best, from] = [score, own.from];
        }
        next[start] = best;
        came[t * intervals.length + k] = from;
      }
      // All scores lack the same sum of log((1 - p) / (observation - 1)), which changes no comparison.
      for (let place = 0; place < shown[k]; place++) next[start + place] += gain;
    }
    [scores, next] = [next, scores];
  }
  let best = 0;
  for (let state = 1; state < states; state++) if (scores[state] > scores[best]) best = state;
  let k = starts.findLastIndex((start) => start <= best);
  let place = best - starts[k];
  const places = new Int32Array(frames);
  const lengths = new Int32Array(frames);
  for (let t = frames - 1; t >= 0; t--) {
    [places[t], lengths[t]] = [place, intervals[k]];
    if (place > 0) place--;
    else {
      k = came[t * intervals.length + k];
      place = intervals[k] - 1;
    }
  }
  return { places, lengths };
}

/**
 * Beats of a clip.
 *
 * @param activation how likely each frame is a beat, in [0, 1].
 * @returns ascending seconds.
 * @throws RangeError when the tempi leave no interval.
 */
export function decodeBeats(activation: ArrayLike<number>, options: BeatDecoderOptions): number[] {
  const { framesPerSecond, minBpm = 55, maxBpm = 215, transitionLambda = 100 } = options;
  const { observationLambda = 16, threshold = 0.05 } = options;
  const shortest = Math.round((60 * framesPerSecond) / maxBpm);
  const longest = Math.round((60 * framesPerSecond) / minBpm);
  if (!(shortest >= 1 && longest >= shortest && longest - shortest < 255)) {
    throw new RangeError(
      `decodeBeats: ${minBpm} to ${maxBpm} bpm at ${framesPerSecond} frames a second; expected intervals from 1 frame on, and fewer than 256 of them`,
    );
  }
  const all = Float64Array.from(activation);
  const first = all.findIndex((p) => p >= threshold);
  if (first < 0) return [];
  const own = all.subarray(first, all.findLastIndex((p) => p >= threshold) + 1);
  const intervals = Array.from({ length: longest - shortest + 1 }, (_, i) => shortest + i);
  const { places, lengths } = viterbi(own, intervals, transitionLambda, observationLambda);
  const isShown = (t: number) => places[t] < lengths[t] / observationLambda;
  const beats: number[] = [];
  // Of each run of frames that show a beat, the one that shows it most.
  for (let t = 0; t < own.length; t++) {
    if (!isShown(t)) continue;
    let best = t;
    while (t + 1 < own.length && isShown(t + 1) && places[t + 1] > places[t]) {
      t++;
      if (own[t] > own[best]) best = t;
    }
    beats.push((first + best) / framesPerSecond);
  }
  return beats;
}

/** Of beats, those that begin a bar: the metre of 2, 3 or 4 and its phase that downbeat activations like best. */
export function decodeDownbeats(
  beats: readonly number[],
  activation: ArrayLike<number>,
  framesPerSecond: number,
): number[] {
  const at = beats.map((time) => activation[Math.min(activation.length - 1, Math.round(time * framesPerSecond))] ?? 0);
  let best: { value: number; metre: number; phase: number } = { value: Number.NEGATIVE_INFINITY, metre: 4, phase: 0 };
  for (const metre of [4, 3, 2]) {
    for (let phase = 0; phase < metre; phase++) {
      // Log-likelihood of the activations if these were the downbeats.
      const value = at.reduce((sum, p, i) => {
        const own = i % metre === phase ? p : 1 - p;
        return sum + Math.log(Math.max(TINY, own));
      }, 0);
      if (value > best.value + 1e-9) best = { value, metre, phase };
    }
  }
  return beats.filter((_, i) => i % best.metre === best.phase);
}
