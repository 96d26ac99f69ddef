/** What users do wrong, and what disks do: errors say it, and nothing is lost. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { writeFile as write } from 'node:fs/promises';
import { join } from 'node:path';
import { AudioError, encodeWav } from '@dawnchorus/dsp';
import { Command } from 'commander';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { collect, refuseRepeats } from '../src/cli/arguments.ts';
import { failureText } from '../src/cli/failures.ts';
import { pretrainCommand } from '../src/cli/pretrain.ts';
import { loadConfig } from '../src/config/index.ts';
import { withBytes } from '../src/data/places.ts';
import { checkOutputFile, makeFolder } from '../src/folders.ts';
import { lockFolder } from '../src/lock.ts';
import { loadBeginning, saveBeginning } from '../src/training/beginning.ts';
import { checkAgainstChecksums } from '../src/training/checkpoints.ts';
import { pretrain } from '../src/training/pretrain.ts';
import { temporaryFolder, writeFile } from './support.ts';

const failures = suite('failures');
const folder = temporaryFolder();
const file = writeFile(join(folder, 'file'), 'words');

/** The message of what a promise rejects with. */
async function messageOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message;
  }
  return 'no error';
}

failures('a folder that cannot be made and a file that cannot be written are told before the work', async () => {
  assert.match(
    await messageOf(makeFolder(join(file, 'in', 'it'))),
    /file\/in\/it: cannot be made: .*file is a file; choose another/,
  );
  const missing = join(folder, 'missing', 'out.npy');
  assert.match(
    await messageOf(checkOutputFile('--out', missing)),
    /^--out .*: there is no folder .*missing; make it first$/,
  );
  assert.match(await messageOf(checkOutputFile('--out', folder)), /is a folder; give the name of a file/);
  await checkOutputFile('--out', join(folder, 'new.npy'));
});

failures('errors of the system are said in words', async () => {
  const missing = await write(join(folder, 'no', 'such'), '').catch((error: unknown) => error);
  assert.match(failureText(missing), /no\/such: there is no such file or folder \(ENOENT, open\)$/);
  assert.is(failureText(new Error('own words')), 'own words');
});

failures('what cannot be written is no fault of the file that is read', async () => {
  const path = writeFile(join(folder, 'tone.wav'), encodeWav(new Float32Array(100), 24000));
  const item = { path, place: { kind: 'file', file: path } } as const;
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
  for (const [error, isAudio] of [
    [full, false],
    [Object.assign(new Error('EIO'), { syscall: 'read' }), true],
  ] as const) {
    const thrown = await withBytes(item, () => Promise.reject(error)).catch((own: unknown) => own);
    assert.is(thrown instanceof AudioError, isAudio);
  }
});

failures('an option that is given twice is refused, unless it collects', () => {
  const run = (...options: string[]) => {
    const program = new Command().exitOverride().configureOutput({ writeErr() {} });
    const command = program
      .command('go')
      .exitOverride()
      .configureOutput({ writeErr() {} });
    command
      .option('--data <dir>', '')
      .option('--set <key>', '', collect, [])
      .option('--json')
      .action(() => {});
    refuseRepeats(program);
    program.parse(['go', ...options], { from: 'user' });
    return command.opts();
  };
  assert.throws(() => run('--data', 'a', '--data', 'b'), /'--data <dir>' is given twice/);
  assert.equal(run('--set', 'a', '--set', 'b', '--json', '--json'), { set: ['a', 'b'], json: true });
  assert.equal(run(), { set: [] });
});

failures('a folder trains one run at a time, and --resume never takes other music', async () => {
  const out = join(folder, 'run');
  mkdirSync(out);
  const config = loadConfig({ preset: 'small' });
  const unlock = await lockFolder(out, 'training');
  // It does not come to the device.
  const second = pretrain({ device: undefined as never, config, data: folder, out, log() {} });
  assert.match(await messageOf(second), /process \d+ on .* is training here; wait for it/);
  await unlock();

  writeFileSync(join(out, 'metrics.jsonl'), '');
  assert.match(await messageOf(pretrainCommand({ out, resume: true, set: [] })), /has no checkpoint, .* give --data/);
  await saveBeginning(out, { config, data: 'music', stopAt: 7 });
  assert.equal(await loadBeginning(out), { config, data: 'music', stopAt: 7 });
  const other = loadConfig({ preset: 'small', set: ['model.hiddenSize=128'] });
  const changed = pretrain({ device: undefined as never, config: other, data: folder, out, resume: true, log() {} });
  assert.match(await messageOf(changed), /model.hiddenSize: 64 in the run, 128 now/);
});

failures('a folder that may not be written to is named', async () => {
  // Root may write to any other.
  if (!existsSync('/proc/self')) return;
  assert.match(
    await messageOf(lockFolder('/proc', 'training')),
    /^\/proc: may not be written to \(E[A-Z]+\); change its permissions or choose another folder$/,
  );
});

failures('halves that the adapter has not are told before a teacher is trained', async () => {
  const out = join(folder, 'halves');
  const config = loadConfig({ preset: 'small', set: ['training.precision=f16'] });
  const device = { features: new Set(), adapter: { name: 'adapter' } } as never;
  assert.match(await messageOf(pretrain({ device, config, data: folder, out, log() {} })), /has no shader-f16/);
  assert.is(existsSync(out), false);
});

failures('damaged weights of a checkpoint are not loaded', async () => {
  const own = join(folder, 'checkpoint');
  mkdirSync(own);
  const sha256 = '6a92c8b1b71efee94d1daf0d0cd27c5b4d1e0d8b3a1b9c1d4a5f0f0c0d1e2f30';
  writeFileSync(join(own, 'model.safetensors'), 'abc');
  writeFileSync(join(own, 'checksums.json'), JSON.stringify({ files: { 'model.safetensors': { bytes: 3, sha256 } } }));
  assert.match(
    await messageOf(checkAgainstChecksums(own, 'model.safetensors')),
    /model.safetensors is damaged.*copy it again/,
  );
});

failures.run();
