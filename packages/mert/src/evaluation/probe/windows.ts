/** Probes of whole windows: classes, tags and numbers. */
import type { Clip, TaskData } from '../data.ts';
import type { FeatureTable } from '../features/table.ts';
import { ensemble, type Strategy, strategies } from './ensemble.ts';
import type { Weights } from './head.ts';
import type { Prober } from './prober.ts';
import { type Rows, readRows, scale, scalingOf, shuffled, truthOf, usableClips } from './rows.ts';
import { argmax, chanceScores, type Prediction, type Scores, scoreSongs } from './scores.ts';
import type { ProbeSettings } from './settings.ts';
import { type Batches, createMachine, learn, type Machine } from './train.ts';

/** Targets of a regression in units of their spread in training. */
function targetScaling(train: Rows, outputs: number) {
  const flat = Float32Array.from(train.truths.flat());
  return scalingOf(flat, outputs);
}

/** Opens a task whose windows are heard as a whole: rows of some layers, and how to learn from them and score. */
export function windowProber(
  data: TaskData,
  table: FeatureTable,
  settings: ProbeSettings,
  standardise: boolean,
): Prober {
  const { task } = data;
  const outputs = data.classes.length;
  const usable = usableClips(data, table);
  const clips = settings.shuffleLabels ? shuffled(usable, settings.seeds[0]) : usable;
  const machines = new Map<number, Machine>();
  const machineOf = (layers: number): Machine => {
    let own = machines.get(layers);
    if (!own) {
      own = createMachine(
        { layers, dimension: table.dimension, hidden: settings.hidden, outputs, dropout: settings.dropout },
        task.kind,
      );
      machines.set(layers, own);
    }
    return own;
  };

  return {
    counts: { train: clips.train.length, valid: clips.valid.length, test: clips.test.length },
    async open(layers) {
      const [train, valid, test] = [
        await readRows(table, clips.train, layers, outputs),
        await readRows(table, clips.valid, layers, outputs),
        await readRows(table, clips.test, layers, outputs),
      ];
      const width = layers.length * table.dimension;
      if (standardise) {
        const own = scalingOf(train.x, width);
        for (const rows of [train, valid, test]) scale(rows.x, own);
      }
      const units = task.kind === 'regression' ? targetScaling(train, outputs) : undefined;
      const machine = machineOf(layers.length);
      const targets = Float32Array.from(train.truths.flat());
      if (units) scale(targets, units);
      const classesOf = task.kind === 'multiclass' ? Int32Array.from(train.truths, argmax) : undefined;
      const batches: Batches = {
        examples: train.songs.length,
        async read(examples) {
          const x = new Float32Array(examples.length * width);
          for (const [i, k] of examples.entries()) x.set(train.x.subarray(k * width, (k + 1) * width), i * width);
          const target = classesOf
            ? Int32Array.from(examples, (k) => classesOf[k])
            : Float32Array.from(examples.flatMap((k) => [...targets.subarray(k * outputs, (k + 1) * outputs)]));
          return { x, target, rows: examples.length };
        },
      };
      const predict = async (weights: Weights, rows: Rows): Promise<Prediction[]> => {
        const logits = await machine.predict(weights, rows.x);
        return rows.songs.map((song, i) => ({
          song,
          truth: rows.truths[i],
          logits: Float64Array.from({ length: outputs }, (_, k) => {
            const own = logits[i * outputs + k];
            return units ? own / units.factor[k] + units.mean[k] : own;
          }),
        }));
      };
      const choices: readonly Strategy[] = task.ensemble === 'chosen' ? strategies : ['gmean'];
      const score = (windows: readonly Prediction[], strategy: Strategy): Scores =>
        scoreSongs(data, ensemble(windows, strategy));
      const main = (scores: Scores) => {
        const value = scores.metrics[data.metrics[0]];
        return Number.isFinite(value) ? value : Number.NEGATIVE_INFINITY;
      };
      const bestStrategy = (windows: readonly Prediction[]): Strategy =>
        choices.reduce((best, own) => (main(score(windows, own)) > main(score(windows, best)) ? own : best));
      return {
        async train(rate, seed, checkStopped) {
          const learned = await learn({
            ...{ machine, batches, task, settings, rate, seed, checkStopped },
            async validate(weights) {
              const windows = await predict(weights, valid);
              return Math.max(...choices.map((own) => main(score(windows, own))));
            },
          });
          return {
            ...learned,
            async judge() {
              const windows = await predict(learned.weights, valid);
              const strategy = bestStrategy(windows);
              const details: Record<string, string> = task.ensemble === 'chosen' ? { ensemble: strategy } : {};
              const own = score(await predict(learned.weights, test), strategy);
              return { valid: score(windows, strategy).metrics, test: own, details };
            },
          };
        },
      };
    },
    chance() {
      const songs = (own: readonly Clip[]): Prediction[] => {
        const seen = new Map(own.map((clip) => [clip.song, clip]));
        return [...seen.values()].map((clip) => ({
          song: clip.song,
          truth: truthOf(clip, outputs),
          logits: new Float64Array(outputs),
        }));
      };
      return chanceScores(data, songs(usable.train), songs(usable.test));
    },
    dispose() {
      for (const own of machines.values()) own.dispose();
    },
  };
}
