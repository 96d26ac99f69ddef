/** A probe: features once, then a head for each layer and rate; validation chooses, and several seeds are tested. */
import type { Device } from '@dawnchorus/tensor';
import { beatProber } from '../beats/prober.ts';
import type { TaskData } from '../data.ts';
import { type ExtractOptions, extractFeatures, StoppedError } from '../features/extract.ts';
import type { FeatureSource } from '../features/source.ts';
import type { FeatureTable } from '../features/table.ts';
import { checkHeldOut } from '../proxy.ts';
import { separationProber } from '../separation/prober.ts';
import type { Judgement, Prober } from './prober.ts';
import type { Scores } from './scores.ts';
import type { ProbeSettings } from './settings.ts';
import { windowProber } from './windows.ts';

/** Which layers a head hears: one, or a learned sum of all. */
export type LayerChoice = number | 'weighted';

/** What one choice of layers scored with the best rate for it. */
export interface LayerScore {
  layer: LayerChoice;
  rate: number;
  /** The validation score that chooses, and the scores of the test, which choose nothing. */
  valid: number;
  test: Record<string, number>;
}

/** Everything that a probe found: what `mert probe --json` prints. */
export interface ProbeResult {
  task: string;
  /** Of the data: the data set, or the proxy. */
  data: string;
  proxy: boolean;
  source: { name: string; hash: string; layers: number; dimension: number; standardised: boolean };
  clips: { train: number; valid: number; test: number };
  classes: number;
  /** What was chosen on validation. */
  chosen: { layer: LayerChoice; rate: number; details: Record<string, string> };
  seeds: { seed: number; passes: number; valid: Record<string, number>; test: Record<string, number> }[];
  /** Of the test over seeds: mean and sample standard deviation; null for a single seed. */
  metrics: Record<string, { mean: number; spread: number | null }>;
  /** What would be scored without features. */
  chance: Record<string, number>;
  /** By layer, where layers were swept. */
  layers: LayerScore[];
  /** Of the first seed. */
  perClass: Scores['perClass'];
  confusion: number[][] | null;
  classNames: readonly string[];
  shuffledLabels: boolean;
  skipped: { id: string; reason: string }[];
  notes: readonly string[];
  seconds: { features: number; heads: number };
}

/** How a probe runs. */
export interface ProbeOptions extends ExtractOptions {
  device: Device;
  source: FeatureSource;
  data: TaskData;
  settings: ProbeSettings;
  /** Told what is going on, in lines for people. */
  log?(line: string): void;
}

function proberOf(data: TaskData, table: FeatureTable, settings: ProbeSettings, standardise: boolean): Prober {
  const { kind } = data.task;
  const open = kind === 'beats' ? beatProber : kind === 'separation' ? separationProber : windowProber;
  return open(data, table, settings, standardise);
}

/** The choices of layers that are to be tried. @throws RangeError for a layer that the source has not. */
export function layerChoices({ layers, firstSummed }: FeatureSource, layer: ProbeSettings['layer']): LayerChoice[] {
  const summed: LayerChoice[] = layers - firstSummed > 1 ? ['weighted'] : [];
  if (layer === 'sweep') return [...Array.from({ length: layers }, (_, k) => k), ...summed];
  // A source of one layer has no sum; its only layer is what a sum of it would be.
  if (layer === 'weighted') return summed.length > 0 ? summed : [layers - 1];
  if (layers === 1) return [0];
  if (!Number.isInteger(layer) || layer < 0 || layer >= layers) {
    throw new RangeError(`layer ${layer}: this source has layers 0 to ${layers - 1}`);
  }
  return [layer];
}

const layersOf = ({ layers, firstSummed }: FeatureSource, choice: LayerChoice): number[] =>
  choice === 'weighted' ? Array.from({ length: layers - firstSummed }, (_, k) => firstSummed + k) : [choice];

function meanAndSpread(values: readonly number[]): { mean: number; spread: number | null } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length < 2) return { mean, spread: null };
  return { mean, spread: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)) };
}

/** Tries layers and rates with the first seed, and tells the best rate of each layer. */
async function sweep(
  prober: Prober,
  { source, log, data, settings }: ProbeOptions,
  choices: readonly LayerChoice[],
  rates: readonly number[],
  checkStopped: () => void,
): Promise<LayerScore[]> {
  const found: LayerScore[] = [];
  for (const layer of choices) {
    const opened = await prober.open(layersOf(source, layer));
    let best: (LayerScore & { judge(): Promise<Judgement>; dispose(): void }) | undefined;
    for (const rate of rates) {
      const trained = await opened.train(rate, settings.seeds[0], checkStopped);
      if (best && !(trained.valid > best.valid)) trained.dispose();
      else {
        best?.dispose();
        best = { layer, rate, valid: trained.valid, test: {}, judge: trained.judge, dispose: trained.dispose };
      }
    }
    if (!best || !Number.isFinite(best.valid)) {
      throw new Error(`${data.name}: no head of layer ${layer} got to a validation score at rates ${rates.join(', ')}`);
    }
    const { test } = await best.judge();
    best.dispose();
    found.push({ layer, rate: best.rate, valid: best.valid, test: test.metrics });
    log?.(`layer ${layer}: ${data.metrics[0]} on validation ${best.valid.toFixed(4)} at rate ${best.rate}`);
  }
  return found;
}

/**
 * Runs a probe of a task on frozen features.
 *
 * @throws StoppedError when it was stopped: features that were made are kept; Error when a split cannot be heard.
 */
export async function probe(options: ProbeOptions): Promise<ProbeResult> {
  const { source, data, settings, stopped } = options;
  if (settings.seeds.length === 0 || settings.rates.length === 0) {
    throw new Error('a probe needs a seed and a learning rate');
  }
  layerChoices(source, settings.layer);
  // What a song is known by in training must not be what the test asks for.
  checkHeldOut(
    data.clips.map(({ id, split, song }) => ({ path: id, split, groups: { song } })),
    [],
    data.name,
  );
  const checkStopped = () => {
    if (stopped?.()) throw new StoppedError();
  };
  const started = performance.now();
  const table = await extractFeatures(source, data, options);
  const heard = performance.now();
  const standardised = settings.standardise ?? source.standardise;
  const prober = proberOf(data, table, settings, standardised);
  try {
    const wanted = prober.sumOnly && settings.layer === 'sweep' ? 'weighted' : settings.layer;
    const [choices, rates] = [layerChoices(source, wanted), prober.rates ?? settings.rates];
    const only = choices.length === 1 && rates.length === 1;
    const layers = only ? [] : await sweep(prober, options, choices, rates, checkStopped);
    const best = only
      ? { layer: choices[0], rate: rates[0] }
      : layers.reduce((own, other) => (other.valid > own.valid ? other : own));
    const opened = await prober.open(layersOf(source, best.layer));
    const judged: { seed: number; passes: number; judgement: Judgement }[] = [];
    for (const seed of settings.seeds) {
      const trained = await opened.train(best.rate, seed, checkStopped);
      judged.push({ seed, passes: trained.passes, judgement: await trained.judge() });
      trained.dispose();
    }
    const [{ judgement: first }] = judged;
    const names = Object.keys(first.test.metrics);
    return {
      task: data.task.name,
      data: data.name,
      proxy: data.proxy,
      source: {
        ...{ name: source.name, hash: source.hash, layers: source.layers, dimension: source.dimension },
        standardised,
      },
      clips: prober.counts,
      classes: data.classes.length,
      chosen: { layer: best.layer, rate: best.rate, details: first.details },
      seeds: judged.map(({ seed, passes, judgement }) => ({
        ...{ seed, passes, valid: judgement.valid, test: judgement.test.metrics },
      })),
      metrics: Object.fromEntries(
        names.map((name) => [name, meanAndSpread(judged.map(({ judgement }) => judgement.test.metrics[name]))]),
      ),
      chance: await prober.chance(),
      layers,
      perClass: first.test.perClass,
      confusion: first.test.confusion ?? null,
      classNames: data.classes,
      shuffledLabels: settings.shuffleLabels,
      skipped: table.skipped,
      notes: [...data.notes, ...(table.skipped.length > 0 ? [`${table.skipped.length} clips could not be read`] : [])],
      seconds: { features: (heard - started) / 1000, heads: (performance.now() - heard) / 1000 },
    };
  } finally {
    prober.dispose();
  }
}
