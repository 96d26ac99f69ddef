/** Makes a proxy: plans it, has the music played, and leaves a folder as `../evaluation/proxy.ts` describes it. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeFlac } from '@dawnchorus/dsp';
import { writeAtomically, writeJson } from '@dawnchorus/formats';
import { type Split, splits } from '../evaluation/names.ts';
import {
  checkHeldOut,
  type ProxyClip,
  type ProxyDescription,
  proxyClipSchema,
  readProxy,
} from '../evaluation/proxy.ts';
import { makeFolder } from '../folders.ts';
import { type ProxyKind, proxyKind } from './catalogue.ts';
import { fontsBySplit, lineages } from './fonts.ts';
import type { Segment } from './midi.ts';
import { countBySplit } from './notes.ts';
import { type ClipPlan, type Composed, countsOf } from './plan.ts';
import { findTools, type Tools } from './programs.ts';
import { levelGain, renderSegments, SAMPLE_RATE } from './render.ts';
import { type SongPart, songParts } from './song.ts';

/** What to make, and where. */
export interface MakeOptions {
  /** One of the tasks, or expression, articulation, preset. */
  task: string;
  out: string;
  /** Clips in all splits together; the kind's own number unless given. */
  clips?: number;
  seed?: number;
  /** Sound fonts, or folders of them, beside those that are installed. */
  fonts?: readonly string[];
  /** Lineages of fonts to use: all that are there unless given. */
  lineages?: readonly string[];
  /** Accompaniments of our own in the place of mma's: of key, beats and separation. */
  ownMusic?: boolean;
  /** Asked after each batch; true makes it stop, and the next call goes on. */
  stopped?: () => boolean;
  /** Called with the clips that are done, those of before included. */
  onClips?: (done: number, total: number) => void;
}

/** What was made. */
export interface MakeResult {
  kind: ProxyKind;
  /** False when it was stopped. */
  finished: boolean;
  clips: Record<Split, number>;
  classes: readonly string[];
  /** Clips that were left out, and why. */
  dropped: readonly string[];
}

/** A clip that is done, or was left out. */
type Made = { plan: string; clip?: ProxyClip; dropped?: string };

const state = '.making';
/** Seconds of sound that one run of the synthesizer renders, about. */
const BATCH_SECONDS = 160;
/** Runs of mma at a time. */
const AT_ONCE = 2;

/** The stems' names in the layout: nothing sings, so that the melody stands where vocals do. */
const stemNames: Record<SongPart, 'drums' | 'bass' | 'vocals' | 'other'> = {
  ...{ drums: 'drums', bass: 'bass', melody: 'vocals', other: 'other' },
};

/** Composes with a few processes at a time, in order. */
async function composeAll(plans: readonly ClipPlan[]): Promise<Composed[]> {
  const out: Composed[] = [];
  for (let i = 0; i < plans.length; i += AT_ONCE) {
    out.push(...(await Promise.all(plans.slice(i, i + AT_ONCE).map((plan) => plan.compose()))));
  }
  return out;
}

/** Renders a batch of one font and writes its clips. */
async function makeBatch(out: string, plans: readonly ClipPlan[]): Promise<Made[]> {
  const composed = await composeAll(plans);
  const segments: Segment[] = [];
  for (const { messages, seconds, stems } of composed) {
    if (stems) for (const part of songParts) segments.push({ messages: stems[part], seconds });
    else segments.push({ messages, seconds });
  }
  const sounds = (await renderSegments(plans[0].font, segments)).values();
  const made: Made[] = [];
  for (const [i, plan] of plans.entries()) {
    const { start, duration, stems, label, beats, downbeats } = composed[i];
    const first = Math.round(start * SAMPLE_RATE);
    const cut = () => (sounds.next().value as Float32Array).slice(first, first + Math.round(duration * SAMPLE_RATE));
    const tracks = stems ? songParts.map(cut) : [cut()];
    const mix = stems ? tracks[0].map((_, t) => tracks.reduce((sum, track) => sum + track[t], 0)) : tracks[0];
    const gain = levelGain(mix);
    if (gain === 0) {
      made.push({ plan: plan.path, dropped: `${plan.path}: ${plan.font.name} plays nothing there` });
      continue;
    }
    const own = plan.levelled ? gain : Math.min(1, gain);
    const write = (path: string, samples: Float32Array) => {
      const bytes = encodeFlac(
        samples.map((value) => value * own),
        SAMPLE_RATE,
      );
      return writeAtomically(join(out, path), [bytes]);
    };
    await write(`${plan.path}.flac`, mix);
    const named: Partial<Record<string, string>> = {};
    if (stems) {
      for (const [at, part] of songParts.entries()) {
        named[stemNames[part]] = `${plan.path}-${stemNames[part]}.flac`;
        await write(`${plan.path}-${stemNames[part]}.flac`, tracks[at]);
      }
    }
    const clip = proxyClipSchema.parse({
      path: `${plan.path}.flac`,
      split: plan.split,
      ...(label !== undefined && { label }),
      ...(beats && { beats, downbeats }),
      ...(stems && { stems: named }),
      groups: plan.groups,
    });
    made.push({ plan: plan.path, clip });
  }
  return made;
}

/** Batches of one font each, of about the same length, in the order of the plans. */
function* batches(plans: readonly ClipPlan[], perBatch: number): Generator<ClipPlan[]> {
  const byFont = new Map<string, ClipPlan[]>();
  for (const plan of plans) byFont.set(plan.font.path, [...(byFont.get(plan.font.path) ?? []), plan]);
  for (const own of byFont.values()) {
    for (let i = 0; i < own.length; i += perBatch) yield own.slice(i, i + perBatch);
  }
}

/** Tags that occur in training and in the test, the most frequent first. */
function frequentTags(clips: readonly ProxyClip[], most: number): string[] {
  const counts = (split: Split) => {
    const own = new Map<string, number>();
    for (const clip of clips) {
      if (clip.split !== split) continue;
      for (const tag of clip.label as string[]) own.set(tag, (own.get(tag) ?? 0) + 1);
    }
    return own;
  };
  const [train, test] = [counts('train'), counts('test')];
  const inTest = clips.filter(({ split }) => split === 'test').length;
  // A tag that every clip of the test has, or none, cannot be scored.
  const known = [...train].filter(([tag]) => test.has(tag) && (test.get(tag) as number) < inTest);
  return known
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .slice(0, most)
    .map(([tag]) => tag);
}

async function openState(out: string, signature: string): Promise<Map<string, Made>> {
  const folder = join(out, state);
  const planPath = join(folder, 'plan.json');
  if (existsSync(join(out, 'proxy.json'))) {
    throw new Error(`${out}: already holds a proxy; choose another --out, or remove it`);
  }
  if (!existsSync(planPath)) {
    if (existsSync(out) && (await readdir(out)).some((name) => name !== state)) {
      throw new Error(`${out}: is not empty; choose another --out`);
    }
    await makeFolder(folder);
    await writeAtomically(planPath, [Buffer.from(signature)]);
    return new Map();
  }
  const before = await readFile(planPath, 'utf8');
  if (before !== signature) {
    throw new Error(
      `${out}: was begun with other settings, fonts or programs:\n  then ${before}\n  now  ${signature}\nuse the same ones to go on, or another --out`,
    );
  }
  const log = join(folder, 'made.jsonl');
  const lines = existsSync(log) ? (await readFile(log, 'utf8')).split('\n') : [];
  const made = new Map<string, Made>();
  for (const line of lines) {
    try {
      const own = JSON.parse(line) as Made;
      made.set(own.plan, own);
    } catch {
      // The last line of a process that was killed; its clips are made again.
    }
  }
  return made;
}

function describe(kind: ProxyKind, clips: readonly ProxyClip[], tools: Tools, options: object): ProxyDescription {
  const used = new Set(clips.map(({ groups }) => groups.font));
  const fonts = tools.fonts.filter(({ name }) => used.has(name));
  const classes = 'most' in kind.classes ? frequentTags(clips, kind.classes.most) : [...kind.classes];
  return {
    proxy: true,
    ...{ task: kind.task, name: kind.name, description: kind.description, classes },
    ...(kind.metrics && { metrics: [...kind.metrics] }),
    sampleRate: SAMPLE_RATE,
    heldOut: [...kind.heldOut],
    generator: {
      program: 'mert proxy make',
      ...options,
      ...tools.versions,
      fonts: fonts.map(({ name, file, lineage, from, licence }) => ({ name, file, lineage, from, licence })),
    },
  };
}

/**
 * Makes a proxy, or goes on with it. The same task, clips, seed, fonts and programs make the same files. Files are whole
 * or not there, and proxy.json is written last.
 *
 * @throws MissingProgram when mma, fluidsynth or a font is not installed; Error when there is no honest proxy of that
 * task, or the folder holds something else.
 */
export async function makeProxy(options: MakeOptions): Promise<MakeResult> {
  const { out, seed = 1, ownMusic = false, stopped, onClips } = options;
  const kind = proxyKind(options.task);
  const strange = options.lineages?.find((own) => !(lineages as readonly string[]).includes(own));
  if (strange !== undefined) throw new Error(`lineage ${strange}: expected ${lineages.join(', ')}`);
  if (ownMusic && !['key', 'beats', 'separation'].includes(kind.kind)) {
    throw new Error(`${kind.kind}: has no accompaniments of our own; key, beats and separation have`);
  }
  const tools = await findTools({ songs: kind.songs && !ownMusic, fonts: options.fonts, lineages: options.lineages });
  const wanted = options.clips ?? kind.clips;
  if (!Number.isInteger(wanted) || wanted < 3) {
    throw new RangeError(`${wanted} clips; expected a whole number from 3, one for each split at least`);
  }
  const fonts = fontsBySplit(tools.fonts);
  const plans = kind.plan({ counts: countsOf(wanted), seed, fonts, styles: tools.styles ?? '', own: ownMusic });
  checkHeldOut(plans, kind.heldOut, kind.name);
  const settings = { kind: kind.kind, clips: wanted, seed, ...(ownMusic && { accompaniment: 'own' }) };
  const names = splits.map((split) => `${split} ${fonts[split].map(({ name }) => name).join(' ')}`);
  const signature = JSON.stringify({ ...settings, ...tools.versions, fonts: names });
  const made = await openState(out, signature);
  await makeFolder(join(out, 'audio'));

  const left = plans.filter(({ path }) => !made.has(path));
  const seconds = kind.kind === 'separation' ? 44 : kind.songs ? 15 : 5;
  onClips?.(made.size, plans.length);
  for (const batch of batches(left, Math.max(1, Math.round(BATCH_SECONDS / seconds)))) {
    if (stopped?.()) break;
    const own = await makeBatch(out, batch);
    for (const line of own) made.set(line.plan, line);
    await appendFile(join(out, state, 'made.jsonl'), own.map((line) => `${JSON.stringify(line)}\n`).join(''));
    onClips?.(made.size, plans.length);
  }
  const done = plans.flatMap(({ path }) => made.get(path) ?? []);
  const clips = done.flatMap(({ clip }) => clip ?? []);
  const dropped = done.flatMap((line) => line.dropped ?? []);
  if (made.size < plans.length) {
    return { kind, finished: false, clips: countBySplit(clips), classes: [], dropped };
  }
  const description = describe(kind, clips, tools, { ...settings, dropped });
  if ('most' in kind.classes) {
    const known = new Set(description.classes);
    for (const clip of clips) clip.label = (clip.label as string[]).filter((tag) => known.has(tag));
  }
  checkHeldOut(clips, kind.heldOut, kind.name);
  const lines = clips.map((clip) => `${JSON.stringify(clip)}\n`).join('');
  await writeAtomically(join(out, 'clips.jsonl'), [Buffer.from(lines)]);
  await writeJson(join(out, 'proxy.json'), description);
  await readProxy(out);
  await rm(join(out, state), { recursive: true });
  return { kind, finished: true, clips: countBySplit(clips), classes: description.classes, dropped };
}

/** The SHA-256 of a proxy's labels and audio, to tell whether two are the same. */
export async function hashProxy(folder: string): Promise<string> {
  const { clips } = await readProxy(folder);
  const hash = createHash('sha256').update(await readFile(join(folder, 'clips.jsonl')));
  for (const { path, stems } of clips) {
    for (const own of [path, ...Object.values(stems ?? {})]) hash.update(await readFile(join(folder, own)));
  }
  return hash.digest('hex');
}
