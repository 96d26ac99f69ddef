/**
 * MERT in a page: embeds a sound on the visitor's GPU and draws which of its moments are alike.
 *
 *   npx vite examples/browser
 *
 * Another model: ?model=ADDRESS of a folder with config.json, preprocessor_config.json and model.safetensors.
 */
import { createCqt, decodeAudio, memorySource } from '@dawnchorus/dsp';
import { loadMert, type Mert } from '@dawnchorus/mert';
import { type Device, openDevice, scope, tensor } from '@dawnchorus/tensor';

const query = new URLSearchParams(location.search);
const SOUND = query.get('sound') ?? '/music/valid/froyn-victory.ogg';
const MODEL = query.get('model') ?? '/models/mert-tiny';
/** Hz */
const C1 = 32.703;
/** Moments on each side of the picture. */
const MOMENTS = 256;

const find = <E extends HTMLElement>(id: string) => document.getElementById(id) as E;
const say = (text: string) => {
  find('said').textContent = text;
};

/** Draws values [rows][columns] in [0, 1], dark to light. */
function draw(id: string, rows: number, columns: number, valueAt: (row: number, column: number) => number): void {
  const canvas = find<HTMLCanvasElement>(id);
  [canvas.width, canvas.height] = [columns, rows];
  const image = new ImageData(columns, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const v = Math.min(1, Math.max(0, valueAt(row, column)));
      image.data.set([255 * v, 255 * v ** 1.6, 90 + 60 * v - 90 * v * v, 255], 4 * (row * columns + column));
    }
  }
  canvas.getContext('2d')?.putImageData(image, 0, 0);
}

/** The level of each bin over time, 60 dB down to black. */
async function drawSpectrum(device: Device, samples: Float32Array, sampleRate: number): Promise<void> {
  const cqt = createCqt(device, { sampleRate, hopLength: 512, fMin: C1, bins: 84, binsPerOctave: 12 });
  const spectrum = scope(() => cqt.transform(tensor(samples, { shape: [1, samples.length] })));
  const [, bins, frames] = spectrum.shape;
  const values = (await spectrum.data()) as Float32Array;
  spectrum.dispose();
  cqt.dispose();
  const peak = Math.max(
    1e-9,
    values.reduce((most, value) => Math.max(most, value), 0),
  );
  draw('spectrum', bins, frames, (row, frame) => {
    const level = 20 * Math.log10(values[(bins - 1 - row) * frames + frame] / peak + 1e-9);
    return 1 + level / 60;
  });
}

/** Cosines between the mean hidden states of moments, on the GPU. */
async function drawLikeness(hidden: Float32Array, [frames, dim]: number[]): Promise<void> {
  const moments = Math.min(MOMENTS, frames);
  const likeness = scope(() => {
    const every = Math.floor(frames / moments);
    const states = tensor(hidden.subarray(0, moments * every * dim), { shape: [moments, every, dim] }).mean({ dim: 1 });
    // What all moments have in common says nothing.
    const own = states.sub(states.mean({ dim: 0, keepdim: true }));
    const unit = own.div(own.square().sum({ dim: 1, keepdim: true }).sqrt().add(1e-6));
    return unit.matmul(unit.transpose(0, 1));
  });
  const values = await likeness.data();
  likeness.dispose();
  draw('likeness', moments, moments, (row, column) => 0.5 + 0.5 * Number(values[row * moments + column]));
}

async function hear(device: Device, mert: Mert, bytes: Uint8Array, name: string): Promise<void> {
  say(`Decoding ${name}.`);
  const { samples } = await decodeAudio(memorySource(bytes, name), { sampleRate: mert.sampleRate });
  await drawSpectrum(device, samples, mert.sampleRate);
  say(`Embedding ${name}.`);
  const start = performance.now();
  const { data, shape } = await mert.embed({ samples, sampleRate: mert.sampleRate }, { layers: 'mean' });
  await drawLikeness(data, shape);
  const seconds = (performance.now() - start) / 1000;
  say(
    `${name}: ${(samples.length / mert.sampleRate).toFixed(1)} s of sound, ${shape[0]} frames of ${shape[1]} numbers in ${seconds.toFixed(1)} s.`,
  );
}

try {
  const device = await openDevice({ log: (line) => console.info(line) });
  const mert = await loadMert(MODEL);
  const sound = await fetch(SOUND);
  await hear(device, mert, new Uint8Array(await sound.arrayBuffer()), SOUND.split('/').at(-1) as string);
  find<HTMLInputElement>('file').addEventListener('change', async ({ target }) => {
    const [file] = (target as HTMLInputElement).files ?? [];
    if (!file) return;
    await hear(device, mert, new Uint8Array(await file.arrayBuffer()), file.name).catch((error) => say(String(error)));
  });
} catch (error) {
  say(String(error));
  throw error;
}
