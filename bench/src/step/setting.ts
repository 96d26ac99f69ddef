import { loadConfig, type PretrainConfig, presets } from '@dawnchorus/mert';

/** What is timed: a preset or a file, with so many clips. */
export interface StepSetting {
  config?: string;
  batch?: number;
  set?: readonly string[];
  dtype?: 'f32' | 'f16';
}

/**
 * The configuration to time, under a short name. Layers are never dropped: which ones would be drawn on the host, and a
 * compiled step would drop the same ones each time.
 *
 * @throws Error named ConfigError as `loadConfig` does.
 */
export function stepConfig({ config: name = 'small', batch, set = [], dtype }: StepSetting): {
  name: string;
  config: PretrainConfig;
} {
  const isPreset = presets().includes(name) || !/\.ya?ml$/.test(name);
  const source = isPreset ? { preset: name } : { file: name };
  const own = ['model.layerdrop=0', ...(batch === undefined ? [] : [`training.batchSize=${batch}`])];
  // One clip has no other to be mixed with.
  if (batch === 1) own.push('mixture.probability=0');
  if (dtype) own.push(`training.precision=${dtype}`);
  const config = loadConfig({ ...source, set: [...own, ...set] });
  const short = isPreset ? name : name.replace(/^.*\/|\.ya?ml$/g, '');
  const half = config.training.precision === 'f16' ? '_f16' : '';
  return { name: `step_${short}_b${config.training.batchSize}${half}`, config };
}
