import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Batch, type PretrainConfig, saveTensors } from '@dawnchorus/mert';
import { indexSelect, type Tensor, tensor } from '@dawnchorus/tensor';
import { scratchFolder, startScript } from '../engines/python.ts';
import { LEARNING_RATE, type StepModel } from './model.ts';

interface Hello {
  adapter: string;
  version: string;
  precisions: ('f32' | 'bf16')[];
  parameters: number;
}

/** What PyTorch is given of a batch: without the rows that only fill it up, and with classes counted from the special ones. */
async function onlyRealRows(batch: Batch, { targets }: PretrainConfig) {
  const { waveform, mask, rows, labels, cqt, rowWeights } = batch;
  const weights = rowWeights ? await rowWeights.data() : new Float32Array(rows.size).fill(1);
  const real = tensor(Int32Array.from([...weights.keys()].filter((row) => weights[row] > 0)), { device: rows.device });
  const taken = (x: Tensor, axis: number) => indexSelect(x, axis, real);
  return {
    ...{ waveform, mask, rows: taken(rows, 0) },
    ...{ labels: taken(labels, 1).add(targets.specialClasses), cqt: taken(cqt, 0) },
  };
}

/** The same student in PyTorch, on the same weights and the same batch. @throws MissingPeer where there is no torch. */
export async function openTorchStep({ trainer, labelled }: StepModel, config: PretrainConfig) {
  const folder = scratchFolder();
  try {
    const { student, heads } = trainer;
    await saveTensors(
      join(folder.path, 'weights.safetensors'),
      new Map([...student.namedParameters(), ...heads.namedParameters()]),
    );
    const batch: Record<string, { shape: readonly number[]; dtype: string }> = {};
    for (const [name, tensor] of Object.entries(await onlyRealRows(labelled, config))) {
      const data = await tensor.data();
      const dtype = { f32: 'float32', i32: 'int32', bool: 'uint8' }[tensor.dtype as 'f32' | 'i32' | 'bool'];
      writeFileSync(join(folder.path, name), new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      batch[name] = { shape: tensor.shape, dtype };
    }
    writeFileSync(join(folder.path, 'setting.json'), JSON.stringify({ config, batch, learningRate: LEARNING_RATE }));
    const { hello, ask, close } = await startScript<Hello>('torch_step.py', [folder.path]);
    return {
      hello,
      loss: async () => (await ask<{ loss: number }>({ do: 'loss' })).loss,
      run: (precision: 'f32' | 'bf16') => ask<{ milliseconds: number; peakBytes?: number }>({ do: 'run', precision }),
      close() {
        close();
        folder.remove();
      },
    };
  } catch (error) {
    folder.remove();
    throw error;
  }
}

export type TorchStep = Awaited<ReturnType<typeof openTorchStep>>;
