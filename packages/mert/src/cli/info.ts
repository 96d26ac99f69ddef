import { openDevice } from '@dawnchorus/tensor';
import { countParameters, cropSamples, frameCount, frameLength, loadConfig, presets } from '../config/index.ts';
import { configSource } from './arguments.ts';

/** What `mert info` was asked for. */
interface Options {
  json?: boolean;
  config?: string;
  set: string[];
}

/** Prints what a configuration's model is: its sizes and how many parameters it has. Needs no GPU. */
function tellConfig(name: string, { json, set }: Options): void {
  const config = loadConfig(configSource({ config: name, set }, presets()));
  const { encoder, pretraining, parts } = countParameters(config);
  const { audio, model } = config;
  const frameRate = audio.sampleRate / frameLength;
  const frames = frameCount(cropSamples(audio), model);
  if (json) {
    const parameters = { encoder, pretraining, parts };
    console.log(
      JSON.stringify(
        { config: name, sampleRate: audio.sampleRate, frameRate, frames, parameters, settings: config },
        null,
        2,
      ),
    );
    return;
  }
  const number = (value: number) => value.toLocaleString('en').padStart(13);
  console.log(
    `${name}: ${audio.sampleRate} Hz, ${frameRate} frames a second; ${frames} frames in a crop of ${audio.cropSeconds} s`,
  );
  console.log(
    `${model.numHiddenLayers} layers of ${model.hiddenSize}, ${model.numAttentionHeads} heads, ${model.intermediateSize} inside; ` +
      `${model.doStableLayerNorm ? 'pre-LN' : model.deepnorm ? 'post-LN (DeepNorm)' : 'post-LN'}, ${model.featExtractNorm} norm in the extractor`,
  );
  console.log('parameters:');
  for (const [part, count] of Object.entries(parts)) if (part !== 'layer') console.log(`  ${number(count)}  ${part}`);
  console.log(`  ${number(encoder)}  encoder\n  ${number(pretraining)}  in pretraining, heads included`);
}

/** Prints what the adapter is and offers; with a configuration, what its model is. */
export async function infoCommand(options: Options): Promise<void> {
  const { json = false, config } = options;
  if (config !== undefined) {
    tellConfig(config, options);
    return;
  }
  if (options.set.length > 0) throw new Error('--set changes a configuration; say which one: --config NAME');
  const device = await openDevice(json ? { log() {} } : { log: (line) => console.log(line) });
  const features = [...device.features].sort();
  const limits: Record<string, number> = {};
  for (const name in device.limits) {
    const value = device.limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') limits[name] = value;
  }
  if (json) {
    console.log(JSON.stringify({ adapter: device.adapter, features, limits }, null, 2));
  } else {
    console.log(`features: ${features.join(', ')}`);
    const { subgroupSizes, matrixUnits } = device.adapter;
    if (subgroupSizes) console.log(`subgroups: ${[...new Set(subgroupSizes)].join(' to ')} threads`);
    const units = matrixUnits.map(({ component, result, M, N, K }) => `${component} -> ${result} ${M}x${N}x${K}`);
    console.log(`matrix units: ${units.join(', ') || 'none'}`);
    console.log('limits:');
    for (const name of Object.keys(limits).sort()) console.log(`  ${name}: ${limits[name]}`);
  }
  device.close();
}
