import { createCqt, readAudio } from '@dawnchorus/dsp';
import { writeNpy } from '@dawnchorus/formats';
import { openDevice, tensor } from '@dawnchorus/tensor';
import { cqtSettings } from '../training/step.ts';

/** Writes the constant-Q magnitudes of a file: float32 [bins, frames]. */
export async function cqtCommand({ input, out }: { input: string; out: string }): Promise<void> {
  const { samples } = await readAudio(input, { sampleRate: cqtSettings.sampleRate });
  const device = await openDevice();
  const cqt = createCqt(device, cqtSettings);
  const magnitudes = cqt.transform(tensor(samples, { shape: [1, samples.length] }));
  const [, bins, frames] = magnitudes.shape;
  await writeNpy(out, (await magnitudes.data()) as Float32Array, [bins, frames]);
  console.error(`wrote ${out}: float32 [${bins}, ${frames}]`);
  device.close();
}
