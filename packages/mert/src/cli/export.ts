import { writeAtomically } from '@dawnchorus/formats';
import { openDevice } from '@dawnchorus/tensor';
import type { Command } from 'commander';
import { parseLayers } from '../embed/layers.ts';
import { checkNotInput, checkOutputFile } from '../folders.ts';
import { studentToOnnx } from '../model/onnx.ts';
import { loadPretrained } from '../model/pretrained.ts';
import { aboveZero, fromOne } from './arguments.ts';

interface Options {
  model: string;
  onnx: string;
  seconds: number;
  batch: number;
  layers: string;
  opset?: number;
}

/** Writes a student as an ONNX model. */
async function exportCommand({ model: path, onnx, seconds, batch, layers, opset }: Options): Promise<void> {
  const choice = parseLayers(layers);
  await checkOutputFile('--onnx', onnx, '.onnx');
  checkNotInput('--onnx', onnx, [], path);
  const device = await openDevice();
  try {
    const model = await loadPretrained(path);
    const samples = Math.round(seconds * model.sampleRate);
    const bytes = await studentToOnnx(model, { samples, batch, layers: choice, opset });
    await writeAtomically(onnx, [bytes], { what: 'ONNX model', bytes: bytes.length });
    console.error(`wrote ${onnx}: waveform float32 [${batch}, ${samples}] at ${model.sampleRate} Hz`);
  } finally {
    device.close();
  }
}

/** `mert export` */
export function addExportCommand(program: Command): void {
  program
    .command('export')
    .description('write a model as ONNX, to run elsewhere on clips of one length')
    .requiredOption(
      '--model <path>',
      'model folder in Hugging Face’s MERT layout, e.g. OUT/checkpoint; or a fairseq .pt',
    )
    .requiredOption('--onnx <file>', 'where the model goes')
    .option('--seconds <n>', 'length of a clip', aboveZero, 5)
    .option('--batch <n>', 'clips at once', fromOne, 1)
    .option('--layers <which>', 'outputs hidden.N: all, or numbers: 3,6 or 4-8; or mean, one output hidden', 'all')
    .option('--opset <n>', 'version of ONNX’s operators, 17 to 22 (default: 17)', fromOne)
    .action(exportCommand);
}
