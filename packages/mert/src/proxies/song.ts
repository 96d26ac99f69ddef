/** Songs: a chart, played by mma as a groove, with a melody over it, in time that may drift. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MidiEvent, parseMidi } from 'midi-file';
import { type HostRandom, hostRandom } from '../random.ts';
import { type Chart, chordName, chordTones, type Mode, scaleTones } from './chart.ts';
import { DRUMS, type Message, type Note, noteOff, noteOn, program } from './midi.ts';
import { type BeatNote, isOwn, playOwn } from './plain.ts';
import { runProgram } from './programs.ts';
import type { Groove } from './styles.ts';

/** What a song is to be. */
export interface SongPlan {
  readonly seed: number;
  readonly groove: Groove;
  readonly chart: Chart;
  readonly tonic: number;
  readonly mode: Mode;
  /** Beats a minute. */
  readonly tempo: number;
  /** How far the tempo may wander from that, as a share; 0 for strict time. */
  readonly drift: number;
  /** General MIDI program of a melody over the accompaniment, if there is to be one. */
  readonly melody?: number;
}

/** The parts that a song can be taken apart into. */
export const songParts = ['drums', 'bass', 'melody', 'other'] as const;
/** One of `songParts`. */
export type SongPart = (typeof songParts)[number];

/** A song as messages and notes. */
export interface Song {
  readonly plan: SongPlan;
  readonly messages: readonly (Message & { readonly part: SongPart })[];
  readonly notes: readonly Note[];
  /** Seconds. */
  readonly beats: readonly number[];
  readonly downbeats: readonly number[];
  readonly seconds: number;
}

/** The chart is played so many times. */
const TIMES = 2;

function mmaText({ seed, groove, chart, tonic, tempo }: SongPlan): string {
  const lines = [`RndSeed ${seed}`, `Tempo ${tempo}`, `Groove stdlib/${groove.style}:${groove.name}`];
  const bars = Array.from({ length: TIMES }, () => chart).flat();
  for (const [i, bar] of bars.entries()) {
    const names = bar.map((chord) => chordName(tonic, chord));
    lines.push(`${i + 1} ${bar.length === 2 ? `${names[0]} / ${names[1]} /` : names[0]}`);
  }
  return `${lines.join('\n')}\n`;
}

/** When each beat comes: tempo by tempo, each a small step from the one before. */
function beatTimes({ tempo, drift }: SongPlan, count: number, random: HostRandom): number[] {
  const times = [0];
  let share = 0;
  for (let beat = 1; beat <= count; beat++) {
    share = Math.max(-drift, Math.min(drift, share + drift * (random.uniform() - 0.5)));
    times.push(times[beat - 1] + 60 / (tempo * (1 + share)));
  }
  return times;
}

/** A line of chord tones on the beats and scale tones between, in beats. */
function melodyNotes({ chart, tonic, mode, groove }: SongPlan, random: HostRandom) {
  const scale = scaleTones(tonic, mode);
  const near = (classes: readonly number[], pitch: number) => {
    const all = Array.from({ length: 20 }, (_, i) => 64 + i).filter((own) => classes.includes(own % 12));
    const sorted = all.sort((a, b) => Math.abs(a - pitch) - Math.abs(b - pitch));
    return sorted[random.integer(0, Math.min(2, sorted.length - 1))];
  };
  const notes: { beat: number; length: number; pitch: number; velocity: number }[] = [];
  let pitch = 72;
  const bars = Array.from({ length: TIMES }, () => chart).flat();
  for (const [bar, chords] of bars.entries()) {
    for (let beat = 0; beat < groove.metre; ) {
      const chord = chords[Math.floor((beat * chords.length) / groove.metre)];
      const left = groove.metre - beat;
      const length = Math.min(left, [0.5, 1, 1, 1, 2][random.integer(0, 4)]);
      pitch = near(Number.isInteger(beat) ? chordTones(tonic, chord) : scale, pitch);
      // A rest now and then.
      if (random.uniform() > 0.12) {
        notes.push({ beat: bar * groove.metre + beat, length, pitch, velocity: random.integer(85, 115) });
      }
      beat += length;
    }
  }
  return notes;
}

const partOf = (track: string, channel: number): SongPart =>
  channel === DRUMS ? 'drums' : /^(bass|walk)/i.test(track) ? 'bass' : 'other';

type PartMessage = Message & { readonly part: SongPart };

/** What a song is made of, timed in beats. */
interface Score {
  readonly messages: readonly PartMessage[];
  readonly channels: ReadonlySet<number>;
}

/** Messages of mma's accompaniment. @throws Error when mma refuses. */
async function mmaScore(plan: SongPlan): Promise<Score> {
  const folder = await mkdtemp(join(tmpdir(), 'dawnchorus-song-'));
  let bytes: Uint8Array;
  try {
    await writeFile(join(folder, 'song.mma'), mmaText(plan));
    await runProgram('mma', ['-w', '-f', join(folder, 'song.mid'), join(folder, 'song.mma')], folder);
    bytes = await readFile(join(folder, 'song.mid'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const { header, tracks } = parseMidi(bytes);
  const messages: PartMessage[] = [];
  const channels = new Set([DRUMS]);
  for (const track of tracks) {
    let tick = 0;
    let name = '';
    for (const event of track) {
      tick += event.deltaTime;
      if (event.type === 'trackName') name = event.text;
      if (!('channel' in event)) continue;
      channels.add(event.channel);
      const own = messageOf(event, tick / (header.ticksPerBeat as number));
      if (own) messages.push({ ...own, part: partOf(name, event.channel) });
    }
  }
  return { messages, channels };
}

function messageOf(event: MidiEvent & { channel: number }, time: number): Message | undefined {
  const { channel } = event;
  switch (event.type) {
    case 'noteOn':
      return noteOn(time, channel, event.noteNumber, event.velocity);
    case 'noteOff':
      return noteOff(time, channel, event.noteNumber);
    case 'programChange':
      return program(time, channel, event.programNumber);
    case 'controller':
      return { time, bytes: [0xb0 | channel, event.controllerType, event.value] };
    case 'pitchBend':
      return { time, bytes: [0xe0 | channel, (event.value + 8192) & 127, (event.value + 8192) >> 7] };
    default:
      return undefined;
  }
}

const notesOf = ({ beat, length, channel, pitch, velocity, part }: BeatNote): PartMessage[] => [
  { ...noteOn(beat, channel, pitch, velocity), part },
  { ...noteOff(beat + length, channel, pitch), part },
];

function ownScore({ groove, chart, tonic, seed }: SongPlan): Score {
  const bars = Array.from({ length: TIMES }, () => chart).flat();
  const { notes, programs } = playOwn(groove.style, bars, tonic, hostRandom(seed, 11));
  const starts = programs.map(([channel, number, part]) => ({ ...program(0, channel, number), part }));
  return {
    messages: [...starts, ...notes.flatMap(notesOf)],
    channels: new Set([DRUMS, ...programs.map(([own]) => own)]),
  };
}

/**
 * Plays a song: mma, or a pattern of our own where the groove is one. The same plan gives the same song.
 *
 * @throws Error when mma refuses.
 */
export async function playSong(plan: SongPlan): Promise<Song> {
  const { messages: accompaniment, channels } = isOwn(plan.groove.style) ? ownScore(plan) : await mmaScore(plan);
  const random = hostRandom(plan.seed, 1);
  const { metre } = plan.groove;
  const count = plan.chart.length * TIMES * metre;
  const times = beatTimes(plan, count + 8, random);
  const seconds = (beat: number) => {
    const whole = Math.max(0, Math.min(times.length - 2, Math.floor(beat)));
    return Math.max(0, times[whole] + (beat - whole) * (times[whole + 1] - times[whole]));
  };
  const inBeats = [...accompaniment];
  if (plan.melody !== undefined) {
    const channel = Array.from({ length: 16 }, (_, i) => i).find((own) => !channels.has(own));
    if (channel === undefined)
      throw new Error(`${plan.groove.name}: plays on every channel; none is left for a melody`);
    inBeats.push({ ...program(0, channel, plan.melody), part: 'melody' });
    for (const note of melodyNotes(plan, random)) {
      inBeats.push(...notesOf({ ...note, length: 0.9 * note.length, channel, part: 'melody' }));
    }
  }
  const messages = inBeats.map((message) => ({ ...message, time: seconds(message.time) }));
  messages.sort((a, b) => a.time - b.time);
  const beats = times.slice(0, count);
  return {
    plan,
    messages,
    notes: soundingNotes(messages),
    beats,
    downbeats: beats.filter((_, i) => i % metre === 0),
    seconds: times[count],
  };
}

/** The notes that messages make. */
function soundingNotes(messages: readonly Message[]): Note[] {
  const programs = new Array<number>(16).fill(0);
  const open = new Map<number, { start: number; velocity: number; program: number }>();
  const notes: Note[] = [];
  for (const { time, bytes } of messages) {
    const channel = bytes[0] & 15;
    const kind = bytes[0] >> 4;
    const key = channel * 128 + bytes[1];
    if (kind === 12) programs[channel] = bytes[1];
    if (kind !== 8 && kind !== 9) continue;
    const held = open.get(key);
    if (held) {
      notes.push({ ...held, end: time, channel, pitch: bytes[1] });
      open.delete(key);
    }
    if (kind === 9 && bytes[2] > 0) open.set(key, { start: time, velocity: bytes[2], program: programs[channel] });
  }
  return notes.sort((a, b) => a.start - b.start);
}
