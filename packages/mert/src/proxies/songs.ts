/** Clips of songs: the stand-ins for key, beats, genre, the four sets of tags, expression and separation. */
import { type Split, splits } from '../evaluation/names.ts';
import { hostRandom } from '../random.ts';
import { chartName, drawChart, type Mode, tonics } from './chart.ts';
import type { Font } from './fonts.ts';
import { DRUMS, type Note } from './midi.ts';
import { deck } from './notes.ts';
import { isOwn, ownGroove, ownStyles } from './plain.ts';
import { type ClipPlan, type Composed, clipSeed, type Label, type PlanOptions } from './plan.ts';
import { playSong, type Song, type SongPart, type SongPlan, songParts } from './song.ts';
import { families, type Groove, groovesOf, stylesBySplit, styleWords } from './styles.ts';

/** The tasks that songs stand in for. */
const songKinds = [
  ...['key', 'beats', 'genre', 'tagging', 'instrument-tagging', 'genre-tagging', 'top50-tagging', 'expression'],
  'separation',
] as const;

/** General MIDI's sixteen families. */
const gmFamilies = [
  ...['piano', 'chromatic percussion', 'organ', 'guitar', 'bass', 'strings', 'ensemble', 'brass', 'reed', 'pipe'],
  ...['synth lead', 'synth pad', 'synth effects', 'ethnic', 'percussive', 'sound effects'],
];

/** Instruments that carry a melody. */
const melodic = [11, 22, 40, 56, 60, 66, 68, 71, 73, 75];

/** Seconds of a clip. */
export const songSeconds = 10;

const clock = (note: Note, start: number, end: number) =>
  Math.max(0, Math.min(note.end, end) - Math.max(note.start, start));

/** Shares of the clip in which each program sounds, drums apart. */
function programShares(song: Song, start: number, end: number): Map<number, number> {
  const spans = new Map<number, [number, number][]>();
  for (const note of song.notes) {
    if (note.channel === DRUMS || clock(note, start, end) === 0) continue;
    const own = spans.get(note.program) ?? [];
    own.push([Math.max(start, note.start), Math.min(end, note.end)]);
    spans.set(note.program, own);
  }
  const shares = new Map<number, number>();
  for (const [program, own] of spans) {
    let [sum, until] = [0, start];
    for (const [from, to] of own.sort((a, b) => a[0] - b[0])) {
      sum += Math.max(0, to - Math.max(from, until));
      until = Math.max(until, to);
    }
    shares.set(program, sum / (end - start));
  }
  return shares;
}

function instrumentTags(song: Song, start: number, end: number): string[] {
  const shares = [...programShares(song, start, end)].filter(([, share]) => share >= 0.05);
  const drums = song.notes.some((note) => note.channel === DRUMS && clock(note, start, end) > 0);
  return [...shares.map(([program]) => `program ${program}`), ...(drums ? ['drums'] : [])];
}

const genreTags = ({ plan: { groove } }: Song): string[] => styleWords.filter((word) => groove.style.includes(word));

/** What a listener might tag: families of instruments, drums, metre, tempo, mode and style. */
function tags(song: Song, start: number, end: number): string[] {
  const { groove, tempo, mode } = song.plan;
  const own = [...programShares(song, start, end).keys()].map((program) => gmFamilies[program >> 3]);
  const drums = song.notes.some((note) => note.channel === DRUMS && clock(note, start, end) > 0);
  const speed = tempo < 85 ? 'slow' : tempo < 110 ? 'moderate' : tempo < 135 ? 'fast' : 'very fast';
  const style = groove.family ? [`style ${groove.family}`] : [];
  return [...new Set(own), ...(drums ? ['drums'] : []), `metre ${groove.metre}`, speed, mode, ...style];
}

/** Numbers that a score says, each scaled to about 0 to 1: not what a listener feels. */
export const expressionOutputs = ['tempo', 'velocity', 'density', 'brightness'];

function expression(song: Song, start: number, end: number): number[] {
  const heard = song.notes.filter((note) => note.start >= start && note.start < end);
  const pitched = heard.filter((note) => note.channel !== DRUMS);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  return [
    song.plan.tempo / 200,
    mean(heard.map((note) => note.velocity)) / 127,
    heard.length / (end - start) / 40,
    (mean(pitched.map((note) => note.pitch)) - 36) / 60 + (song.plan.mode === 'major' ? 0.1 : -0.1),
  ];
}

type SongKind = (typeof songKinds)[number];

function labelOf(kind: SongKind, song: Song, start: number, end: number): Label | undefined {
  const { tonic, mode, groove } = song.plan;
  switch (kind) {
    case 'key':
      return `${tonics[tonic]} ${mode}`;
    case 'genre':
      return groove.family as string;
    case 'tagging':
      return tags(song, start, end);
    case 'instrument-tagging':
      return instrumentTags(song, start, end);
    case 'genre-tagging':
      return genreTags(song);
    case 'top50-tagging':
      return [...new Set([...tags(song, start, end), ...instrumentTags(song, start, end), ...genreTags(song)])];
    case 'expression':
      return expression(song, start, end);
    default:
      return undefined;
  }
}

function compose(kind: SongKind, song: Song, without: SongPart | undefined): Composed {
  const random = hostRandom(song.plan.seed, 3);
  // Somewhere in the first two bars, so that beats are not always where a clip begins.
  const room = Math.max(0, Math.min(song.downbeats[2] ?? 0, song.seconds - songSeconds));
  const start = kind === 'separation' ? 0 : random.uniform() * room;
  const end = start + songSeconds;
  const inside = (times: readonly number[]) =>
    times.filter((time) => time >= start && time < end).map((time) => Number((time - start).toFixed(5)));
  const heard = song.messages.filter(({ time, part }) => time < end && part !== without);
  const label = labelOf(kind, song, start, end);
  return {
    messages: heard,
    seconds: end,
    start,
    duration: songSeconds,
    ...(label && { label }),
    ...(kind === 'beats' && { beats: inside(song.beats), downbeats: inside(song.downbeats) }),
    ...(kind === 'separation' && {
      stems: Object.fromEntries(songParts.map((own) => [own, heard.filter(({ part }) => part === own)])) as Record<
        SongPart,
        typeof heard
      >,
    }),
  };
}

/** The grooves that a clip may have, by what the proxy asks for. */
function drawGroove(
  balanced: boolean,
  styles: readonly string[],
  known: readonly string[],
  folder: string,
  seed: number,
): () => Groove {
  const random = hostRandom(seed, 4);
  // Families alike often, then files, then grooves.
  const of = (family: string) => styles.filter((style) => families[family].includes(style));
  const stylesOf = new Map(known.map((family) => [family, deck(of(family), random)]));
  const nextFamily = deck(known, random);
  const nextStyle = deck(styles, random);
  const grooves = new Map<string, Groove[]>();
  return () => {
    const style = balanced ? (stylesOf.get(nextFamily()) as () => string)() : nextStyle();
    const own = grooves.get(style) ?? (isOwn(style) ? [ownGroove(style)] : groovesOf(folder, style));
    grooves.set(style, own);
    return own[random.integer(0, own.length - 1)];
  };
}

/** Whether clips are drawn from families of styles alike. */
const isByFamily = (kind: SongKind): boolean => ['genre', 'tagging', 'top50-tagging'].includes(kind);

/** The styles that songs of each split are played in. */
function stylesOfSplits(kind: SongKind, ownMusic: boolean | undefined): Readonly<Record<Split, readonly string[]>> {
  if (ownMusic) return ownStyles;
  const styles = stylesBySplit(isByFamily(kind) ? 'families' : 'all');
  if (kind !== 'genre-tagging') return styles;
  // Asked for are words in the names of styles: all splits have all styles, played from other seeds by other fonts.
  const all = Object.values(styles).flat();
  const tagged = all.filter((style) => styleWords.some((word) => style.includes(word))).sort();
  return { train: tagged, valid: tagged, test: tagged };
}

type DrawChart = typeof drawChart;

/** Draws charts of which no two are alike. */
function createCharts(): DrawChart {
  const drawn = new Set<string>();
  return (random, mode, metre) => {
    let chart = drawChart(random, mode, metre);
    while (drawn.has(chartName(chart))) chart = drawChart(random, mode, metre);
    drawn.add(chartName(chart));
    return chart;
  };
}

/** A song that is drawn for a clip, and what part of it the clip leaves out. */
interface DrawnSong {
  plan: SongPlan;
  without?: SongPart;
}

/** @param key - 0 to 11 major from C up, 12 to 23 minor. */
function drawSong(kind: SongKind, seed: number, groove: Groove, key: number, freshChart: DrawChart): DrawnSong {
  const random = hostRandom(seed, 6);
  const mode: Mode = key < 12 ? 'major' : 'minor';
  const chart = freshChart(random, mode, groove.metre);
  const [tempo, melody] = [random.integer(70, 160), melodic[random.integer(0, melodic.length - 1)]];
  const withMelody = kind === 'separation' || random.uniform() < 0.6;
  const drift = kind === 'beats' && random.uniform() < 0.5 ? 0.08 : 0;
  const without = kind === 'beats' && random.uniform() < 0.25 ? 'drums' : undefined;
  const plan = { seed, groove, chart, tonic: key % 12, mode, tempo, drift, ...(withMelody && { melody }) };
  return { plan, without };
}

/** Clip number `index` of a split. */
function clipOf(kind: SongKind, { plan, without }: DrawnSong, split: Split, index: number, font: Font): ClipPlan {
  const { seed, groove, chart } = plan;
  return {
    path: `audio/${split}-${String(index).padStart(5, '0')}`,
    split,
    font,
    groups: {
      ...{ song: `${split} ${seed}`, font: font.name, lineage: font.lineage, seed },
      ...{ style: groove.style, groove: groove.name, chart: chartName(chart) },
    },
    levelled: kind !== 'expression',
    compose: async () => compose(kind, await playSong(plan), without),
  };
}

/** Clips of songs, no chart, style file, font lineage or seed of the test among those of training. */
export function planSongs(
  kind: SongKind,
  { counts, seed, fonts, styles: folder, own: ownMusic }: PlanOptions,
): ClipPlan[] {
  const styles = stylesOfSplits(kind, ownMusic);
  const freshChart = createCharts();
  const plans: ClipPlan[] = [];
  let keys = Array.from({ length: 24 }, (_, i) => i);
  let known = Object.keys(families);
  for (const split of splits) {
    const own = clipSeed(seed, split, 0);
    const nextGroove = drawGroove(isByFamily(kind), styles[split], known, folder, own);
    const nextKey = deck(keys, hostRandom(own, 5));
    const used = new Set<number>();
    for (let i = 0; i < counts[split]; i++) {
      const key = nextKey();
      used.add(key);
      const song = drawSong(kind, clipSeed(seed, split, i), nextGroove(), key, freshChart);
      plans.push(clipOf(kind, song, split, i, fonts[split][i % fonts[split].length]));
    }
    // A small proxy asks for nothing that it did not teach.
    if (split !== 'train') continue;
    if (kind === 'key') keys = keys.filter((key) => used.has(key));
    known = known.filter((family) => plans.some(({ groups }) => families[family].includes(String(groups.style))));
  }
  return plans;
}
