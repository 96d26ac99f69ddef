/** Scores of what is known of keys, beats and pitches without learning. */
import { chromaKey, notePitches, onsetBeats } from '../yardsticks/index.ts';
import { decodeDownbeats } from './beats/decode.ts';
import { scoreClips } from './beats/prober.ts';
import type { Clip, TaskData } from './data.ts';
import { SAMPLE_RATE } from './features/source.ts';
import { readWindows } from './features/windows.ts';
import { keyIndex } from './metrics/index.ts';
import { ensemble } from './probe/ensemble.ts';
import type { ProbeResult } from './probe/probe.ts';
import { truthOf } from './probe/rows.ts';
import { type Prediction, type Scores, scoreSongs } from './probe/scores.ts';

const names = {
  key: 'Krumhansl’s profiles on chroma',
  beats: 'onsets, their autocorrelation and dynamic programming',
  pitch: 'the sum of harmonics',
} as const;

type Known = keyof typeof names;
const isKnown = (task: string): task is Known => task in names;

/** The class that a yardstick takes a window for; -1 for what is none of them. */
async function guess(task: Known, samples: Float32Array, classes: readonly string[]): Promise<number> {
  if (task === 'key') {
    const own = keyIndex(await chromaKey(samples, SAMPLE_RATE));
    return classes.findIndex((name) => keyIndex(name) === own);
  }
  const [pitch] = await notePitches([samples], SAMPLE_RATE);
  return classes.indexOf(String(pitch));
}

async function scoreGuesses(task: Known, data: TaskData, clips: readonly Clip[]): Promise<Scores> {
  const windows: Prediction[] = [];
  for (const clip of clips) {
    for (const samples of await readWindows(data.task, clip)) {
      const own = await guess(task, samples, data.classes);
      // The last place is for what is no class: without it a guess of none would pass for the first.
      const logits = new Float64Array(data.classes.length + 1);
      logits[own < 0 ? data.classes.length : own] = 1;
      windows.push({ song: clip.song, truth: truthOf(clip, data.classes.length), logits });
    }
  }
  return scoreSongs(data, ensemble(windows, 'gmean'));
}

async function scoreBeats(data: TaskData, clips: readonly Clip[]): Promise<Scores> {
  const found: Parameters<typeof scoreClips>[0][number][] = [];
  for (const clip of clips) {
    const [samples] = await readWindows(data.task, clip);
    const beats = await onsetBeats(samples, SAMPLE_RATE);
    // It knows nothing of bars: every fourth beat from the first on.
    found.push({ clip, beats, downbeats: decodeDownbeats(beats, [0.5], 1) });
  }
  return scoreClips(found);
}

/** What a yardstick scores on the test of a task; undefined for tasks of which nothing is known without learning. */
export async function yardstick(data: TaskData): Promise<ProbeResult | undefined> {
  const { name } = data.task;
  if (!isKnown(name)) return undefined;
  const started = performance.now();
  const clips = data.clips.filter(({ split }) => split === 'test');
  const scores = name === 'beats' ? await scoreBeats(data, clips) : await scoreGuesses(name, data, clips);
  return {
    ...{ task: name, data: data.name, proxy: data.proxy, classes: data.classes.length, classNames: data.classes },
    source: { name: 'yardstick', hash: '', layers: 0, dimension: 0, standardised: false },
    clips: { train: 0, valid: 0, test: clips.length },
    chosen: { layer: 0, rate: 0, details: { yardstick: names[name] } },
    seeds: [],
    metrics: Object.fromEntries(
      Object.entries(scores.metrics).map(([metric, mean]) => [metric, { mean, spread: null }]),
    ),
    chance: {},
    layers: [],
    perClass: scores.perClass,
    confusion: scores.confusion ?? null,
    shuffledLabels: false,
    skipped: [],
    notes: [],
    seconds: { features: 0, heads: (performance.now() - started) / 1000 },
  };
}
