/** Where features come from: a frozen encoder, or a control that nothing was learned for. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nn } from '@dawnchorus/autograd';
import { cqToChroma, createCqt, logMel, stftConventions } from '@dawnchorus/dsp';
import { add, type Device, log, scope, stack, type Tensor } from '@dawnchorus/tensor';
import { fromHuggingFace, loadConfig, type ModelConfig } from '../../config/index.ts';
import { stackClips } from '../../data/batch.ts';
import { hashFile, sha256 } from '../../hash.ts';
import { normaliseWaveform } from '../../model/normalise.ts';
import { loadPretrained } from '../../model/pretrained.ts';
import { Student } from '../../model/student.ts';
import { cqtSettings } from '../../training/step.ts';

/** Frames of every source are so many samples apart, at 24 kHz: 75 a second. */
export const HOP = 320;
export const SAMPLE_RATE = 24000;
/** Shorter clips are filled up with silence. */
const LEAST_SAMPLES = 4096;

/** What probes learn from. */
export interface FeatureSource {
  /** For people and file names. */
  readonly name: string;
  /** Tells sources apart, SHA-256. */
  readonly hash: string;
  readonly layers: number;
  readonly dimension: number;
  /** The first layer of the learned sum: 1 where layer 0 is the input of the transformer. */
  readonly firstSummed: number;
  /** Whether features are brought to zero mean and unit variance over the training clips, unless told otherwise. */
  readonly standardise: boolean;
  /** Clips of one length at 24 kHz -> [layers, clips, frames, dimension]. */
  hear(clips: readonly Float32Array[]): Tensor;
  /** Frees what it holds on the device. */
  dispose(): void;
}

const filled = (clip: Float32Array): Float32Array => {
  if (clip.length >= LEAST_SAMPLES) return clip;
  const longer = new Float32Array(LEAST_SAMPLES);
  longer.set(clip);
  return longer;
};

type Encoder = Pick<FeatureSource, 'layers' | 'dimension' | 'firstSummed' | 'standardise' | 'hear' | 'dispose'>;

function encoderOf(student: Student, doNormalize: boolean): Encoder {
  const { numHiddenLayers, hiddenSize } = student.config;
  return {
    layers: numHiddenLayers + 1,
    dimension: hiddenSize,
    firstSummed: 1,
    standardise: false,
    hear: (clips) =>
      scope(() => {
        const heard = clips.map((clip) => (doNormalize ? normaliseWaveform(filled(clip)) : filled(clip)));
        return stack(student.forward(stackClips(heard)).hiddenStates);
      }),
    dispose: () => student.dispose(),
  };
}

/** A model folder in Hugging Face's MERT layout. */
export async function mertSource(folder: string): Promise<FeatureSource> {
  const model = await loadPretrained(folder);
  const files = ['config.json', 'preprocessor_config.json', 'model.safetensors', 'pytorch_model.bin'];
  const present = files.map((name) => join(folder, name)).filter((path) => existsSync(path));
  const hashes: string[] = [];
  for (const path of present.slice(0, 3)) hashes.push(await hashFile(path));
  if (model.sampleRate !== SAMPLE_RATE) {
    throw new Error(`${folder}: a model of ${model.sampleRate} Hz; evaluation hears 24000 Hz, as MERT-v1 does`);
  }
  return { name: nameOf(folder), hash: sha256(hashes.join()), ...encoderOf(model.student, model.doNormalize) };
}

/** The last part of a path that says something. */
const nameOf = (folder: string): string => {
  const parts = folder.split(/[\\/]/).filter((part) => part !== '' && part !== '.');
  const last = parts[parts.length - 1] ?? 'model';
  return last === 'checkpoint' && parts.length > 1 ? `${parts[parts.length - 2]}` : last;
};

/** An encoder of a model’s shape that has learned nothing: what its architecture alone is worth. */
export function randomSource(config: ModelConfig, doNormalize = true, seed = 0): FeatureSource {
  const student = new Student(config, nn.keySequence(seed));
  const hash = sha256(JSON.stringify(['random', config, doNormalize, seed]));
  return { name: 'random', hash, ...encoderOf(student, doNormalize) };
}

function spectral(name: string, settings: unknown, dimension: number, rows: (x: Tensor) => Tensor): FeatureSource {
  return {
    ...{
      name,
      hash: sha256(JSON.stringify([name, settings])),
      layers: 1,
      dimension,
      firstSummed: 0,
      standardise: true,
    },
    // [clips, dimension, frames] -> [1, clips, frames, dimension]
    hear: (clips) =>
      scope(() =>
        rows(stackClips(clips.map(filled)))
          .permute([0, 2, 1])
          .unsqueeze(0),
      ),
    dispose: () => {},
  };
}

const melSettings = {
  sampleRate: SAMPLE_RATE,
  hopLength: HOP,
  nFft: 2048,
  nMels: 128,
  scale: 'htk',
  norm: null,
  offset: 1e-6,
  ...stftConventions.librosa,
} as const;
/** What is added to constant-Q magnitudes before their logarithm. */
const CQT_FLOOR = 1e-4;

/** The controls that need no model: ln mel energies of 128 bands, ln magnitudes of 336 constant-Q bins, 12 pitch classes. */
export const controlNames = ['logmel', 'cqt', 'chroma'] as const;
/** A source of features that nothing was learnt for. */
export type ControlName = (typeof controlNames)[number];

/** A control by its name. */
export function controlSource(name: ControlName, device: Device): FeatureSource {
  if (name === 'logmel') return spectral(name, melSettings, melSettings.nMels, (x) => logMel(x, melSettings));
  const cqt = createCqt(device, cqtSettings);
  const { bins, binsPerOctave, fMin } = cqtSettings;
  const own =
    name === 'cqt'
      ? spectral(name, [cqtSettings, CQT_FLOOR], bins, (x) => log(add(cqt.transform(x), CQT_FLOOR)))
      : spectral(name, cqtSettings, 12, (x) => cqToChroma(cqt.transform(x), { binsPerOctave, fMin }));
  return { ...own, dispose: () => cqt.dispose() };
}

const isControl = (name: string): name is ControlName => (controlNames as readonly string[]).includes(name);

/**
 * A source by what the command line calls it: a model folder; `logmel`, `cqt` or `chroma`; `random` (the shape of preset
 * small), `random:PRESET`, or `random:FOLDER` (the shape of a model).
 *
 * @throws Error when it is none of these.
 */
export async function openSource(name: string, device: Device, { seed = 0 } = {}): Promise<FeatureSource> {
  if (isControl(name)) return controlSource(name, device);
  if (name === 'random' || name.startsWith('random:')) {
    const shape = name.slice('random:'.length) || 'small';
    if (!existsSync(join(shape, 'config.json'))) return randomSource(loadConfig({ preset: shape }).model, true, seed);
    const [config, preprocessor] = ['config.json', 'preprocessor_config.json'].map((file) =>
      JSON.parse(readFileSync(join(shape, file), 'utf8')),
    );
    const own = fromHuggingFace(config, preprocessor);
    return randomSource(own, own.doNormalize, seed);
  }
  if (!existsSync(name)) {
    throw new Error(
      `there is no model folder ${name}; expected one, or random, random:PRESET, random:FOLDER, ${controlNames.join(', ')}`,
    );
  }
  return mertSource(name);
}
