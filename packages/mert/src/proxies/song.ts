/** Songs: a chart, played by mma as a groove, with a melody over it, in time that may drift. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseMidi } from 'midi-file';
import { type HostRandom, hostRandom } from '../random.ts';
import { type Chart, chordName, chordTones, type Mode, scaleTones } from './chart.ts';
import { DRUMS, type Message, type Note, noteOff, noteOn, program } from './midi.ts';
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
export const parts = ['drums', 'bass', 'melody', 'other'] as const;
export type SongPart = (typeof parts)[number];

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

/** Has mma play a song. The same plan gives the same song. @throws Error when mma refuses. */
export async function playSong(plan: SongPlan): Promise<Song> {
  const folder = await mkdtemp(join(tmpdir(), 'dawnchorus-song-'));
  let bytes: Uint8Array;
  try {
    await writeFile(join(folder, 'song.mma'), mmaText(plan));
    await runProgram('mma', ['-w', '-f', join(folder, 'song.mid'), join(folder, 'song.mma')], folder);
    bytes = await readFile(join(folder, 'song.mid'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const random = hostRandom(plan.seed, 1);
  const { header, tracks } = parseMidi(bytes);
  const perBeat = header.ticksPerBeat as number;
  const { metre } = plan.groove;
  const count = plan.chart.length * TIMES * metre;
  const times = beatTimes(plan, count + 8, random);
  const seconds = (tick: number) => {
    const beat = Math.max(0, Math.min(times.length - 2, Math.floor(tick / perBeat)));
    return times[beat] + (tick / perBeat - beat) * (times[beat + 1] - times[beat]);
  };
  const messages: (Message & { part: SongPart })[] = [];
  const used = new Set([DRUMS]);
  for (const track of tracks) {
    let tick = 0;
    let name = '';
    for (const event of track) {
      tick += event.deltaTime;
      if (event.type === 'trackName') name = event.text;
      if (!('channel' in event)) continue;
      const { channel } = event;
      used.add(channel);
      const part = partOf(name, channel);
      const time = Math.max(0, seconds(tick));
      if (event.type === 'noteOn') messages.push({ ...noteOn(time, channel, event.noteNumber, event.velocity), part });
      else if (event.type === 'noteOff') messages.push({ ...noteOff(time, channel, event.noteNumber), part });
      else if (event.type === 'programChange') messages.push({ ...program(time, channel, event.programNumber), part });
      else if (event.type === 'controller') {
        messages.push({ time, bytes: [0xb0 | channel, event.controllerType, event.value], part });
      } else if (event.type === 'pitchBend') {
        const value = event.value + 8192;
        messages.push({ time, bytes: [0xe0 | channel, value & 127, value >> 7], part });
      }
    }
  }
  if (plan.melody !== undefined) {
    const channel = Array.from({ length: 16 }, (_, i) => i).find((own) => !used.has(own));
    if (channel === undefined)
      throw new Error(`${plan.groove.name}: plays on every channel; none is left for a melody`);
    messages.push({ ...program(0, channel, plan.melody), part: 'melody' });
    for (const { beat, length, pitch, velocity } of melodyNotes(plan, random)) {
      messages.push({ ...noteOn(seconds(beat * perBeat), channel, pitch, velocity), part: 'melody' });
      messages.push({ ...noteOff(seconds((beat + 0.9 * length) * perBeat), channel, pitch), part: 'melody' });
    }
  }
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
export function soundingNotes(messages: readonly Message[]): Note[] {
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
