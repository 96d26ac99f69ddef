import { loadConfig, type PretrainConfig, presets } from '@dawnchorus/mert';

/** What is timed: a preset or a file, with so many clips. */
export interface StepSetting {
  config?: string;
  batch?: number;
  set?: readonly string[];
}

/**
 * The configuration to time, under a short name. Layers are never dropped: which ones would be drawn on the host, and a
 * compiled step would drop the same ones each time.
 *
 * @throws Error named ConfigError as `loadConfig` does.
 */
export function stepConfig({ config: name = 'small', batch, set = [] }: StepSetting): {
  name: string;
  config: PretrainConfig;
} {
  const isPreset = presets().includes(name) || !/\.ya?ml$/.test(name);
  const source = isPreset ? { preset: name } : { file: name };
  const own = ['model.layerdrop=0', ...(batch === undefined ? [] : [`training.batchSize=${batch}`])];
  // One clip has no other to be mixed with.
  if (batch === 1) own.push('mixture.probability=0');
  const config = loadConfig({ ...source, set: [...own, ...set] });
  const short = isPreset ? name : name.replace(/^.*\/|\.ya?ml$/g, '');
  return { name: `step_${short}_b${config.training.batchSize}`, config };
}
