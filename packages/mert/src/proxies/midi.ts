/** Music as timed MIDI messages, and as the files that a synthesizer plays. */
import { type MidiEvent, writeMidi } from 'midi-file';

/** A message of a channel at a time in seconds. */
export interface Message {
  readonly time: number;
  /** `[status, data, …]`, the channel in the status's low half. */
  readonly bytes: readonly number[];
}

/** What is rendered in one go: it begins with all controllers reset and ends in silence. */
export interface Segment {
  readonly messages: readonly Message[];
  readonly seconds: number;
}

/** A note as it sounds. */
export interface Note {
  readonly start: number;
  readonly end: number;
  readonly channel: number;
  readonly program: number;
  readonly pitch: number;
  readonly velocity: number;
}

/** General MIDI's channel of drums. */
export const DRUMS = 9;

export const noteOn = (time: number, channel: number, pitch: number, velocity: number): Message => ({
  time,
  bytes: [0x90 | channel, pitch, velocity],
});
export const noteOff = (time: number, channel: number, pitch: number): Message => ({
  time,
  bytes: [0x80 | channel, pitch, 0],
});
export const control = (time: number, channel: number, controller: number, value: number): Message => ({
  time,
  bytes: [0xb0 | channel, controller, Math.max(0, Math.min(127, Math.round(value)))],
});
export const program = (time: number, channel: number, number: number): Message => ({
  time,
  bytes: [0xc0 | channel, number],
});
/** Bends by semitones of the usual range, two. */
export function bend(time: number, channel: number, semitones: number): Message {
  const value = Math.max(0, Math.min(16383, Math.round(8192 + (semitones / 2) * 8191)));
  return { time, bytes: [0xe0 | channel, value & 127, value >> 7] };
}

/** Ticks of 1/19200 s: finer than a synthesizer's blocks. */
const TICKS = 9600;
const PER_SECOND = 2 * TICKS;

function resets(time: number): Message[] {
  return Array.from({ length: 16 }, (_, channel) => [
    // No sound, no controllers; volume, panorama and expression as a synthesizer starts with; bank and program 0.
    ...[120, 121].map((controller) => control(time, channel, controller, 0)),
    ...(
      [
        [7, 100],
        [10, 64],
        [11, 127],
        [91, 0],
        [93, 0],
        [0, 0],
        [32, 0],
      ] as const
    ).map(([controller, value]) => control(time, channel, controller, value)),
    bend(time, channel, 0),
    program(time, channel, 0),
  ]).flat();
}

function eventOf(bytes: readonly number[]): MidiEvent {
  const channel = bytes[0] & 15;
  const [, a = 0, b = 0] = bytes;
  switch (bytes[0] >> 4) {
    case 8:
      return { deltaTime: 0, type: 'noteOff', channel, noteNumber: a, velocity: 0 };
    case 9:
      return { deltaTime: 0, type: 'noteOn', channel, noteNumber: a, velocity: b };
    case 11:
      return { deltaTime: 0, type: 'controller', channel, controllerType: a, value: b };
    case 12:
      return { deltaTime: 0, type: 'programChange', channel, programNumber: a };
    case 14:
      return { deltaTime: 0, type: 'pitchBend', channel, value: (b << 7) + a - 8192 };
    default:
      throw new RangeError(`a message of status ${bytes[0]} is not known here`);
  }
}

/** A Standard MIDI File that plays segments one after the other, each at the time given. */
export function midiFile(segments: readonly { at: number; segment: Segment }[], end: number): Uint8Array {
  const messages = segments.flatMap(({ at, segment }) => [
    ...resets(at),
    ...segment.messages.map(({ time, bytes }) => ({ time: at + time, bytes })),
  ]);
  // A synthesizer plays on for as long as a note is held.
  for (let channel = 0; channel < 16; channel++) messages.push(control(end, channel, 120, 0));
  // What happens at one time keeps its order.
  const ticks = messages.map(({ time, bytes }, order) => ({ tick: Math.round(time * PER_SECOND), order, bytes }));
  ticks.sort((a, b) => a.tick - b.tick || a.order - b.order);
  let now = 0;
  const track: MidiEvent[] = [{ deltaTime: 0, meta: true, type: 'setTempo', microsecondsPerBeat: 500000 }];
  for (const { tick, bytes } of ticks) {
    track.push({ ...eventOf(bytes), deltaTime: tick - now } as MidiEvent);
    now = tick;
  }
  track.push({ deltaTime: Math.max(0, Math.round(end * PER_SECOND) - now), meta: true, type: 'endOfTrack' });
  return Uint8Array.from(writeMidi({ header: { format: 0, numTracks: 1, ticksPerBeat: TICKS }, tracks: [track] }));
}
