import { readAudio } from '@dawnchorus/dsp';
import { writeNpy } from '@dawnchorus/formats';
import { openDevice } from '@dawnchorus/tensor';
import { loadPretrained } from '../model/pretrained.ts';

/** A layer's number, or what else --layers may say. */
function parseLayers(text: string): 'all' | 'mean' | number {
  if (text === 'all' || text === 'mean') return text;
  const layer = Number(text);
  if (!Number.isInteger(layer) || layer < 0)
    throw new Error(`--layers ${text}: expected all, mean or a layer’s number from 0`);
  return layer;
}

/** Writes hidden states of a file: float32 [layers + 1, frames, dim], or [frames, dim] of one layer or their mean. */
export async function embedCommand(options: {
  model: string;
  input: string;
  out: string;
  layers: string;
}): Promise<void> {
  const layers = parseLayers(options.layers);
  const device = await openDevice();
  const model = await loadPretrained(options.model);
  const { samples } = await readAudio(options.input, { sampleRate: model.sampleRate });
  if (!samples.every(Number.isFinite))
    throw new Error(`${options.input}: has samples that are not numbers (NaN or infinite)`);
  const states = model.embed(samples);
  if (typeof layers === 'number' && layers >= states.length) {
    throw new Error(`--layers ${layers}: this model has layers 0 to ${states.length - 1}`);
  }
  const [frames, dim] = states[0].shape;
  const values = await Promise.all(
    (typeof layers === 'number' ? [states[layers]] : states).map((state) => state.data()),
  );
  const all = new Float32Array(values.length * frames * dim);
  for (const [i, value] of values.entries()) all.set(value, i * frames * dim);
  let data = all;
  let shape = [values.length, frames, dim];
  if (layers !== 'all') {
    shape = [frames, dim];
    data = Float32Array.from({ length: frames * dim }, (_, i) => {
      let sum = 0;
      for (let layer = 0; layer < values.length; layer++) sum += all[layer * frames * dim + i];
      return sum / values.length;
    });
  }
  await writeNpy(options.out, data, shape);
  console.error(`wrote ${options.out}: float32 [${shape.join(', ')}]`);
  device.close();
}
