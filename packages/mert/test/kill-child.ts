/** Pretrains in a process of its own, to be killed: node kill-child.ts DATA OUT STEPS; goes on where a run is. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openDevice } from '@dawnchorus/tensor';
import { pretrain } from '../src/training/pretrain.ts';
import { tinyConfig } from './support.ts';

const [data, out, steps] = process.argv.slice(2);
const config = tinyConfig(
  ...['rvq.steps=1', `training.steps=${steps}`, 'checkpoint.every=1', 'checkpoint.keepLast=2', 'validation.batches=1'],
);
const device = await openDevice({ log() {} });
const resume = ['metrics.jsonl', 'checkpoint', 'teacher'].some((name) => existsSync(join(out, name)));
const { step } = await pretrain({ device, config, data, out, resume, log: (line) => console.log(line) });
console.log(`finished ${step}`);
device.close();
