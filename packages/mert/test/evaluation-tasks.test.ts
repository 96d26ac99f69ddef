/** Each of the 14 tasks from a folder in its real layout to its metric. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { FeatureSource } from '../src/evaluation/features/source.ts';
import { loadTask } from '../src/evaluation/loaders/index.ts';
import { type TaskName, taskNames } from '../src/evaluation/names.ts';
import { type ProbeResult, probe } from '../src/evaluation/probe/probe.ts';
import { type ProbeSettings, paperSettings } from '../src/evaluation/probe/settings.ts';
import { taskOf } from '../src/evaluation/tasks.ts';
import * as make from './evaluation-support.ts';
import { openTestDevice, temporaryFolder } from './support.ts';

const device = await openTestDevice();
const root = temporaryFolder();
const cache = join(root, 'cache');

const folders = {
  MTT: make.makeMagnaTagATune(join(root, 'MTT')),
  GS: make.makeGiantSteps(join(root, 'GS')),
  GTZAN: make.makeGtzan(join(root, 'GTZAN')),
  rhythm: make.makeGtzan(join(root, 'rhythm'), true),
  EMO: make.makeEmoMusic(join(root, 'EMO')),
  NSynth: make.makeNsynth(join(root, 'NSynth')),
  VocalSet: make.makeVocalSet(join(root, 'VocalSet')),
  MUSDB18: make.makeMusdb18(join(root, 'MUSDB18')),
};
for (const list of ['instrument', 'moodtheme', 'genre', 'top50tags']) make.makeJamendo(join(root, 'MTG'), list);

interface Case {
  folder: string;
  source: FeatureSource;
  /** The least score of features that contain the answer, and the most of shuffled labels. */
  perfect: number;
  chance: number;
  settings?: Partial<ProbeSettings>;
}

const oracle = make.oracle();
const cases: Record<TaskName, Case> = {
  tagging: { folder: folders.MTT, source: oracle, perfect: 1, chance: 0.8 },
  key: { folder: folders.GS, source: oracle, perfect: 1, chance: 0.6 },
  genre: { folder: folders.GTZAN, source: oracle, perfect: 1, chance: 0.5 },
  beats: {
    folder: folders.rhythm,
    source: make.beatOracle(),
    perfect: 0.999,
    chance: 0.5,
    settings: { batchSize: 4, rates: [3e-2], epochs: 16 },
  },
  emotion: { folder: folders.EMO, source: oracle, perfect: 0.99, chance: 0.2 },
  instrument: { folder: folders.NSynth, source: oracle, perfect: 1, chance: 0.5 },
  pitch: { folder: folders.NSynth, source: oracle, perfect: 1, chance: 0.5 },
  technique: { folder: folders.VocalSet, source: make.oracle(4, make.vocalSetCode.technique), perfect: 1, chance: 0.5 },
  singer: { folder: folders.VocalSet, source: make.oracle(20, make.vocalSetCode.singer), perfect: 1, chance: 0.2 },
  'instrument-tagging': { folder: join(root, 'MTG'), source: oracle, perfect: 1, chance: 0.8 },
  'mood-tagging': { folder: join(root, 'MTG'), source: oracle, perfect: 1, chance: 0.8 },
  'genre-tagging': { folder: join(root, 'MTG'), source: oracle, perfect: 1, chance: 0.8 },
  'top50-tagging': { folder: join(root, 'MTG'), source: oracle, perfect: 1, chance: 0.8 },
  separation: { folder: folders.MUSDB18, source: make.stemOracle(), perfect: 8, chance: 3, settings: { epochs: 24 } },
};

const settings: ProbeSettings = {
  ...paperSettings,
  rates: [1e-2],
  seeds: [7],
  hidden: 32,
  epochs: 60,
  patience: 60,
  beats: { hidden: 32, cropSeconds: 10, validClips: 8 },
  separation: {
    hidden: 16,
    lstmLayers: 1,
    batchSize: 8,
    rate: 4e-2,
    frames: 8,
    nFft: 1024,
    sweepLayers: true,
    compiled: false,
  },
};

const run = async (name: TaskName, more: Partial<ProbeSettings> = {}): Promise<ProbeResult> => {
  const { folder, source } = cases[name];
  const data = await loadTask(name, folder);
  return probe({ device, source, data, cache, settings: { ...settings, ...cases[name].settings, ...more } });
};

const tests = suite('the 14 tasks');
for (const name of taskNames) {
  tests(`${name}: features that contain the answer score perfectly, and shuffled labels chance`, async () => {
    const [main] = taskOf(name).metrics;
    const found = await run(name);
    assert.ok(found.metrics[main].mean >= cases[name].perfect, `${main} ${found.metrics[main].mean}`);
    for (const metric of taskOf(name).metrics) assert.ok(metric in found.metrics, `no ${metric}`);
    const shuffledScores = await run(name, { shuffleLabels: true, epochs: name === 'separation' ? 3 : 12 });
    assert.ok(
      shuffledScores.metrics[main].mean <= cases[name].chance,
      `${main} ${shuffledScores.metrics[main].mean} of shuffled labels`,
    );
  });
}
tests.run();
