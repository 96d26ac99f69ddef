/**
 * Makes the small proxies in data/proxies, which come with the repository: FluidR3Mono to train on and SONiVOX to test on,
 * both under terms that let renders be given away, and accompaniments of our own. Needs fluidsynth, FluidR3Mono and oggenc
 * (Debian: fluidsynth fluidr3mono-gm-soundfont vorbis-tools) and sonivox.sf2 of npm's @coderline/alphatab.
 *
 *     npx tsx scripts/proxy-set.ts path/to/sonivox.sf2 [FOLDER OF OTHER FONTS]
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readProxy } from '../packages/mert/src/evaluation/proxy.ts';
import { makeProxy } from '../packages/mert/src/proxies/make.ts';

const [sonivox, ...others] = process.argv.slice(2);
if (!sonivox) throw new Error('usage: npx tsx scripts/proxy-set.ts path/to/sonivox.sf2');
const only = process.env.ONLY;
const target = fileURLToPath(new URL('../data/proxies', import.meta.url));

const sets = [
  { task: 'pitch', clips: 44 },
  { task: 'instrument', clips: 44 },
  { task: 'key', clips: 24, ownMusic: true },
  { task: 'beats', clips: 14, ownMusic: true },
];
for (const set of sets) {
  if (only && set.task !== only) continue;
  const folder = join(target, set.task);
  rmSync(folder, { recursive: true, force: true });
  await makeProxy({ ...set, out: folder, fonts: [sonivox, ...others], lineages: ['F', 'S'], seed: 20 });
  const { clips } = await readProxy(folder);
  for (const { path } of clips) {
    const flac = join(folder, path);
    // A serial number of its own keeps the file the same each time.
    execFileSync('oggenc', ['-Q', '-q', '2', '-s', '1', '-o', flac.replace(/flac$/, 'ogg'), flac]);
    rmSync(flac);
  }
  const lines = join(folder, 'clips.jsonl');
  writeFileSync(lines, readFileSync(lines, 'utf8').replaceAll('.flac"', '.ogg"'));
  console.log(`${folder}: ${clips.length} clips`);
}
