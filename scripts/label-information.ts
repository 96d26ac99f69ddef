/**
 * What a teacher's labels say of notes: the normalised mutual information of each codebook with the notes' pitch, pitch class
 * and program, beside the same with the notes dealt out anew. A teacher that is sane lies well above.
 * npx tsx scripts/label-information.ts LABELS PROXY, LABELS made by `mert label --data PROXY`, PROXY by `mert proxy make --task pitch`.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeUse, openLabels } from '@dawnchorus/mert';
import { hostRandom } from '../packages/mert/src/random.ts';

/** Frames of a note that are counted: after its attack, before it is let go. */
const [FIRST, FRAMES] = [8, 75];

interface Note {
  path: string;
  label: string;
  groups: { program: number };
}

const count = (counts: Map<number, number>, key: number) => counts.set(key, (counts.get(key) ?? 0) + 1);

/** 2 I(a; b) / (H(a) + H(b)), as scikit-learn's normalized_mutual_info_score. */
function normalisedInformation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [own, other, both] = [new Map<number, number>(), new Map<number, number>(), new Map<number, number>()];
  for (let i = 0; i < a.length; i++) {
    count(own, a[i]);
    count(other, b[i]);
    count(both, a[i] * 65536 + b[i]);
  }
  const [ownEntropy, otherEntropy, joint] = [own, other, both].map((counts) => codeUse([...counts.values()]).entropy);
  return (2 * (ownEntropy + otherEntropy - joint)) / (ownEntropy + otherEntropy);
}

const [folder, proxy] = process.argv.slice(2);
const notes = readFileSync(join(proxy, 'clips.jsonl'), 'utf8')
  .split('\n')
  .filter(Boolean)
  .map((line) => JSON.parse(line) as Note);
const labels = await openLabels(folder);
const codebooks = labels.teacher.codebooks.length;
const streams: number[][] = Array.from({ length: codebooks }, () => []);
const used: Note[] = [];
for (const note of notes) {
  const entry = labels.files.get(note.path);
  if (!entry || entry.frames < FIRST + FRAMES) continue;
  const own = await labels.crop(note.path, FIRST * labels.teacher.hop, FRAMES);
  for (const [k, stream] of streams.entries()) stream.push(...own.subarray(k * FRAMES, (k + 1) * FRAMES));
  used.push(note);
}
await labels.close();

const classes: [string, (note: Note) => number][] = [
  ['pitch', ({ label }) => Number(label)],
  ['pitch class', ({ label }) => Number(label) % 12],
  ['program', ({ groups }) => groups.program],
];
const random = hostRandom(1);
const dealt = used
  .map((note) => ({ note, key: random.uniform() }))
  .sort((a, b) => a.key - b.key)
  .map(({ note }) => note);
const ofFrames = (all: readonly Note[], of: (note: Note) => number) =>
  all.flatMap((note) => new Array<number>(FRAMES).fill(of(note)));
console.log(`${used.length} notes of ${notes.length}, ${used.length * FRAMES} frames; dealt out anew in brackets`);
console.log(`| codebook | ${classes.map(([name]) => name).join(' | ')} |`);
console.log(`|---|${classes.map(() => '---').join('|')}|`);
for (const [k, stream] of streams.entries()) {
  const cells = classes.map(([, of]) => {
    const [value, chance] = [used, dealt].map((all) => normalisedInformation(stream, ofFrames(all, of)));
    return `${value.toFixed(3)} (${chance.toFixed(3)})`;
  });
  console.log(`| ${k} of ${labels.teacher.codebooks[k]} | ${cells.join(' | ')} |`);
}
