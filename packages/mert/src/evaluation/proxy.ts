/**
 * The layout of proxies: labelled folders of generated audio that stand in for a data set that is not there.
 *
 *     proxy.json     what it is, and how it was made
 *     clips.jsonl    one object a line: a clip, its split, its label, and what it shares with other clips
 *
 * A proxy is called by its own name everywhere, never by that of the data set that it stands in for.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { splits, taskNames } from './names.ts';

const word = z.string().min(1);
const seconds = z.array(z.number().min(0));

/** proxy.json */
export const proxyDescriptionSchema = z.object({
  proxy: z.literal(true),
  /** One of the 14 tasks, as `mert tasks` names them. */
  task: z.enum(taskNames),
  /** Its own name. */
  name: word.regex(/^proxy-[\w.-]+$/, { error: 'must begin with proxy-' }),
  /** For people: what it is, and what it is not. */
  description: z.string().optional(),
  /** Labels in the order of the outputs; of a regression, the names of the outputs; of beats and separation, []. */
  classes: z.array(word),
  /** Metrics that mean something here; those of the task unless given. */
  metrics: z.array(word).optional(),
  /** Hz */
  sampleRate: z.number().positive().default(24000),
  /** Groups, by their keys in `groups`, no value of which may be both in training or validation and in the test. */
  heldOut: z.array(word).default([]),
  /** How it was made: programs, versions, seeds. */
  generator: z.record(z.string(), z.unknown()).default({}),
});

/** A line of clips.jsonl */
export const proxyClipSchema = z.object({
  /** Relative to the folder; .flac, .ogg or .wav. */
  path: word,
  split: z.enum(splits),
  /** A class, several, or the numbers of a regression; left out for beats and separation. */
  label: z.union([word, z.array(word), z.array(z.number())]).optional(),
  /** Seconds of the beats, and of those that begin a bar. */
  beats: seconds.optional(),
  downbeats: seconds.optional(),
  /** Separation: the parts that sum to the clip, relative to the folder. */
  stems: z.strictObject({ vocals: word, drums: word, bass: word, other: word }).partial().optional(),
  /** What the clip shares with others: `song` (predictions are averaged within one), `font`, `lineage`, `seed`, … */
  groups: z.record(z.string(), z.union([word, z.number()])).default({}),
});

/** What proxy.json says. */
export type ProxyDescription = z.output<typeof proxyDescriptionSchema>;
/** What a line of clips.jsonl says. */
export type ProxyClip = z.output<typeof proxyClipSchema>;

/** A proxy that was read and found sound. */
export interface Proxy {
  folder: string;
  description: ProxyDescription;
  clips: ProxyClip[];
}

/** Whether a folder says of itself that it is a proxy. */
export const isProxyFolder = (folder: string): boolean => existsSync(join(folder, 'proxy.json'));

function parse<T>(schema: z.ZodType<T>, text: string, where: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${where}: is not JSON: ${(cause as Error).message}`, { cause });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Error(`${where}: ${issue.path.join('.') || 'the object'}: ${issue.message}`);
}

async function read(path: string, role: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new Error(`${path}: cannot be read; a proxy has ${role}`, { cause });
  }
}

/**
 * Checks that no value of a held-out group occurs both in the test and in training or validation, and that no song is in
 * two splits.
 *
 * @throws Error that names the group, the value and two clips.
 */
export function checkHeldOut(
  clips: readonly Pick<ProxyClip, 'path' | 'split' | 'groups'>[],
  heldOut: readonly string[],
  where = 'proxy',
): void {
  for (const group of new Set(['song', ...heldOut])) {
    const seen = new Map<string | number, { path: string; split: string }>();
    for (const { path, split, groups } of clips) {
      const value = groups[group];
      if (value === undefined) {
        if (heldOut.includes(group)) {
          throw new Error(`${where}: ${path} does not say its ${group}, which is to be held out`);
        }
        continue;
      }
      // A song stays within one split; what else is held out is kept from the test alone.
      const side = group === 'song' ? split : split === 'test' ? 'test' : 'train';
      const other = seen.get(value);
      if (other && other.split !== side) {
        throw new Error(
          `${where}: ${group} ${value} is in two splits, by ${other.path} and ${path}; the test would ask for what was learnt by heart`,
        );
      }
      seen.set(value, { path, split: side });
    }
  }
}

/** Reads a proxy's folder. @throws Error that names the file, the line and what was expected. */
export async function readProxy(folder: string): Promise<Proxy> {
  const descriptionPath = join(folder, 'proxy.json');
  const description = parse(
    proxyDescriptionSchema,
    await read(descriptionPath, 'proxy.json and clips.jsonl'),
    descriptionPath,
  );
  const clipsPath = join(folder, 'clips.jsonl');
  const lines = (await read(clipsPath, 'clips.jsonl beside proxy.json')).split('\n');
  const clips = lines.flatMap((line, i) =>
    line.trim() === '' ? [] : [parse(proxyClipSchema, line, `${clipsPath}:${i + 1}`)],
  );
  for (const { path, stems = {} } of clips) {
    for (const own of [path, ...Object.values(stems)]) {
      if (isAbsolute(own) || own.split('/').includes('..')) {
        throw new Error(`${clipsPath}: ${own} leaves the folder; paths are relative to it`);
      }
    }
  }
  checkHeldOut(clips, description.heldOut, clipsPath);
  return { folder, description, clips };
}
