import { openDevice } from '@dawnchorus/tensor';
import type { Command } from 'commander';
import { loadTeacher, type TeacherName, teacherNames } from '../labels/load.ts';
import { openLabels } from '../labels/read.ts';
import { labelFolder } from '../labels/write.ts';
import { createProgress } from '../training/progress.ts';
import { aboveZero, fromOne } from './arguments.ts';
import { untilInterrupted } from './interrupt.ts';

interface Options {
  data?: string;
  out: string;
  teacher?: TeacherName;
  model?: string;
  bandwidth?: number;
  codebooks?: number;
  resample?: string;
  shardMib: number;
  verify?: boolean;
}

/** Files that are named one by one; of more there is a number. */
const NAMED = 20;

async function verifyCommand({ data, out }: Options): Promise<void> {
  const labels = await openLabels(out);
  const progress = createProgress({ label: 'verify', total: Math.max(1, labels.files.size) });
  const problems = await labels.verify({ data, onFile: (number) => progress.update(number, '') });
  progress.end();
  await labels.close();
  const { name, hash } = labels.teacher;
  console.error(
    `${out}: labels of ${labels.files.size} files by ${name} ${hash.slice(0, 12)}, ${labels.skipped.size} left out`,
  );
  if (problems.length === 0) {
    console.error(data === undefined ? 'every label is what was written' : 'every label and every file is what it was');
    return;
  }
  for (const problem of problems) console.error(`  ${problem}`);
  throw new Error(
    `${out}: ${problems.length} files have labels that cannot be used; bring back what changed, or remove the folder and label again`,
  );
}

/** Labels a folder of music, or goes on with it; with --verify, reads back what is there. */
async function labelCommand(options: Options): Promise<void> {
  if (options.verify) return verifyCommand(options);
  const { data, out, teacher: name, model, bandwidth, codebooks, resample, shardMib } = options;
  if (!data || !name || !model) throw new Error('labelling needs --data, --teacher and --model');
  if (!(teacherNames as readonly string[]).includes(name)) {
    throw new Error(`--teacher ${name}: expected ${teacherNames.join(', ')}`);
  }
  if (resample !== undefined && resample !== 'kaiser64' && resample !== 'hann6') {
    throw new Error(`--resample ${resample}: expected kaiser64 or hann6`);
  }
  const device = await openDevice();
  const interrupt = untilInterrupted('this file', '; either way the same command goes on');
  try {
    const teacher = await loadTeacher(name, model, { bandwidth, codebooks });
    console.error(`teacher: ${name} ${teacher.hash.slice(0, 12)}, codebooks of ${teacher.codebooks.join(', ')}`);
    let progress: ReturnType<typeof createProgress> | undefined;
    let frames = 0;
    const result = await labelFolder({
      ...{ data, out, teacher, resample },
      shardBytes: shardMib * 2 ** 20,
      stopped: interrupt.stopped,
      onFile(event) {
        progress ??= createProgress({ label: 'label', total: event.total, initial: event.number - 1 });
        frames += event.frames;
        const minutes = (frames * teacher.hop) / teacher.sampleRate / 60;
        progress.update(event.number, `${minutes.toFixed(1)} min of music`);
      },
    });
    progress?.end();
    for (const { path, reason } of result.skipped.slice(0, NAMED)) console.error(`  left out ${path}: ${reason}`);
    if (result.skipped.length > NAMED) console.error(`  and ${result.skipped.length - NAMED} more, see the manifest`);
    for (const path of result.gone.slice(0, NAMED)) console.error(`  labelled before, no longer in ${data}: ${path}`);
    const counts = `${result.labelled} files labelled, ${result.already} were there, ${result.skipped.length} left out`;
    if (!result.finished) {
      console.error(`stopped: ${counts}; the same command goes on`);
      process.exitCode = 130;
      return;
    }
    if (result.labelled + result.already === 0) throw new Error(`${data}: none of its audio files can be used`);
    console.error(`wrote ${out}: ${counts}`);
  } finally {
    interrupt.dispose();
    device.close();
  }
}

/** `mert label` */
export function addLabelCommand(program: Command): void {
  program
    .command('label')
    .description('label every audio file of a folder with a teacher, once; goes on where it was when called again')
    .option('--data <dir>', 'folder of music, searched recursively')
    .requiredOption('--out <dir>', 'where the labels go')
    .option('--teacher <name>', 'encodec, rvq (of mert pretrain) or kmeans (of mert kmeans train)')
    .option('--model <dir>', 'the teacher’s folder, or its file')
    .option('--bandwidth <kbps>', 'of encodec (default: 6, which is 8 codebooks)', aboveZero)
    .option('--codebooks <n>', 'of encodec, instead of a bandwidth', fromOne)
    .option('--resample <how>', 'kaiser64 or hann6 (default: hann6 for encodec, as it has it, else kaiser64)')
    .option('--shard-mib <n>', 'largest size of a file of labels', fromOne, 256)
    .option('--verify', 'read the labels in --out back; with --data, hold them against the music, too')
    .action(labelCommand);
}
