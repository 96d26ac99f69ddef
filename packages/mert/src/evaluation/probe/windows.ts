/** Probes of whole windows: classes, tags and numbers. */
import type { Clip, TaskData } from '../data.ts';
import type { FeatureTable } from '../features/table.ts';
import type { TaskKind } from '../tasks.ts';
import { ensemble, type Strategy, strategies } from './ensemble.ts';
import type { Weights } from './head.ts';
import type { Judgement, Prober } from './prober.ts';
import { probedClips, type Rows, readRows, type Scaling, scale, scalingOf, truthOf } from './rows.ts';
import { argmax, chanceScores, type Prediction, type Scores, scoreSongs } from './scores.ts';
import type { ProbeSettings } from './settings.ts';
import { type Batches, createMachines, learn } from './train.ts';

/** What a head is to say of rows. */
interface Targets {
  /** Of some rows: i32 [rows] classes, or f32 [rows, outputs]. */
  of(rows: readonly number[]): Int32Array | Float32Array;
  /** Of a regression: the spread of the numbers in training, in units of which the head says them. */
  units?: Scaling;
}

function targetsOf({ truths }: Rows, kind: TaskKind, outputs: number): Targets {
  if (kind === 'multiclass') {
    const classes = Int32Array.from(truths, argmax);
    return { of: (rows) => Int32Array.from(rows, (row) => classes[row]) };
  }
  const numbers = Float32Array.from(truths.flat());
  const units = kind === 'regression' ? scalingOf(numbers, outputs) : undefined;
  if (units) scale(numbers, units);
  const ofRow = (row: number) => [...numbers.subarray(row * outputs, (row + 1) * outputs)];
  return { of: (rows) => Float32Array.from(rows.flatMap(ofRow)), units };
}

/** Rows to learn from, x f32 [rows, width]. */
function batchesOf({ x, songs }: Rows, width: number, targets: Targets): Batches {
  return {
    examples: songs.length,
    async read(rows) {
      const own = new Float32Array(rows.length * width);
      for (const [i, row] of rows.entries()) own.set(x.subarray(row * width, (row + 1) * width), i * width);
      return { x: own, target: targets.of(rows), rows: rows.length };
    },
  };
}

/** What a head said of rows, logits [rows, outputs], in the units of the truths. */
function predictionsOf({ songs, truths }: Rows, logits: Float32Array, units: Scaling | undefined): Prediction[] {
  const outputs = logits.length / songs.length;
  return songs.map((song, i) => {
    const own = Float64Array.from(logits.subarray(i * outputs, (i + 1) * outputs));
    return {
      song,
      truth: truths[i],
      logits: units ? own.map((value, k) => value / units.factor[k] + units.mean[k]) : own,
    };
  });
}

/** Scores of songs, by each way that the task may bring predictions of their windows together. */
function createScorer(data: TaskData) {
  const choices: readonly Strategy[] = data.task.ensemble === 'chosen' ? strategies : ['gmean'];
  const score = (windows: readonly Prediction[], strategy: Strategy): Scores =>
    scoreSongs(data, ensemble(windows, strategy));
  /** The metric that decides. */
  const valueOf = (windows: readonly Prediction[], strategy: Strategy): number => {
    const value = score(windows, strategy).metrics[data.metrics[0]];
    return Number.isFinite(value) ? value : Number.NEGATIVE_INFINITY;
  };
  return {
    score,
    /** What the best strategy scores. */
    bestValue: (windows: readonly Prediction[]): number =>
      Math.max(...choices.map((strategy) => valueOf(windows, strategy))),
    /** The first of the best strategies. */
    best: (windows: readonly Prediction[]): Strategy =>
      choices.reduce((best, own) => (valueOf(windows, own) > valueOf(windows, best) ? own : best)),
  };
}

/** A prediction for each song that says nothing. */
function silentPredictions(clips: readonly Clip[], outputs: number): Prediction[] {
  const songs = new Map(clips.map((clip) => [clip.song, clip]));
  return [...songs].map(([song, clip]) => ({
    song,
    truth: truthOf(clip, outputs),
    logits: new Float64Array(outputs),
  }));
}

/** Opens a task whose windows are heard as a whole: rows of some layers, and how to learn from them and score. */
export function windowProber(
  data: TaskData,
  table: FeatureTable,
  settings: ProbeSettings,
  standardise: boolean,
): Prober {
  const { task } = data;
  const { dimension } = table;
  const { hidden, dropout } = settings;
  const outputs = data.classes.length;
  const { usable, clips, counts } = probedClips(data, table, settings);
  const machines = createMachines({ dimension, hidden, outputs, dropout }, task.kind);
  const scorer = createScorer(data);

  return {
    counts,
    async open(layers) {
      const width = layers.length * dimension;
      const train = await readRows(table, clips.train, layers, outputs);
      const valid = await readRows(table, clips.valid, layers, outputs);
      const test = await readRows(table, clips.test, layers, outputs);
      if (standardise) {
        const scaling = scalingOf(train.x, width);
        for (const { x } of [train, valid, test]) scale(x, scaling);
      }
      const targets = targetsOf(train, task.kind, outputs);
      const batches = batchesOf(train, width, targets);
      const machine = machines.of(layers.length);
      const predict = async (weights: Weights, rows: Rows): Promise<Prediction[]> =>
        predictionsOf(rows, await machine.predict(weights, rows.x), targets.units);
      return {
        async train(rate, seed, checkStopped) {
          const learned = await learn({
            ...{ machine, batches, task, settings, rate, seed, checkStopped },
            validate: async (weights) => scorer.bestValue(await predict(weights, valid)),
          });
          return {
            ...learned,
            async judge(): Promise<Judgement> {
              const windows = await predict(learned.weights, valid);
              const strategy = scorer.best(windows);
              return {
                valid: scorer.score(windows, strategy).metrics,
                test: scorer.score(await predict(learned.weights, test), strategy),
                details: task.ensemble === 'chosen' ? { ensemble: strategy } : {},
              };
            },
          };
        },
      };
    },
    chance: () => chanceScores(data, silentPredictions(usable.train, outputs), silentPredictions(usable.test, outputs)),
    dispose: () => machines.dispose(),
  };
}
