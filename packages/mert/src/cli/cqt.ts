import { basename } from 'node:path';
import { createCqt, readAudio } from '@dawnchorus/dsp';
import { writeNpy } from '@dawnchorus/formats';
import { openDevice, tensor } from '@dawnchorus/tensor';
import { checkNotInput, checkOutputFile } from '../folders.ts';
import { drawHeatmap } from '../pictures/heatmap.ts';
import { cqtHeatmap } from '../pictures/spectra.ts';
import { checkPicturePath, writePicture } from '../pictures/write.ts';
import { cqtSettings } from '../training/step.ts';

/** Writes the constant-Q magnitudes of a file: float32 [bins, frames], and a picture of them. */
export async function cqtCommand({
  input,
  out,
  picture,
}: {
  input: string;
  out?: string;
  picture?: string;
}): Promise<void> {
  if (out === undefined && picture === undefined) throw new Error('give --out, --picture or both');
  if (picture !== undefined) checkPicturePath(picture);
  if (out !== undefined) await checkOutputFile('--out', out, '.npy');
  if (picture !== undefined) await checkOutputFile('--picture', picture);
  for (const [option, path] of Object.entries({ '--out': out, '--picture': picture })) {
    if (path !== undefined) checkNotInput(option, path, [input]);
  }
  const { samples } = await readAudio(input, { sampleRate: cqtSettings.sampleRate });
  const device = await openDevice();
  const cqt = createCqt(device, cqtSettings);
  const magnitudes = cqt.transform(tensor(samples, { shape: [1, samples.length] }));
  const [, bins, frames] = magnitudes.shape;
  const data = (await magnitudes.data()) as Float32Array;
  if (out !== undefined) {
    await writeNpy(out, data, [bins, frames]);
    console.error(`wrote ${out}: float32 [${bins}, ${frames}]`);
  }
  if (picture !== undefined) {
    await writePicture(picture, drawHeatmap(cqtHeatmap(data, bins, { title: basename(input), start: 0 })));
    console.error(`wrote ${picture}`);
  }
  device.close();
}
