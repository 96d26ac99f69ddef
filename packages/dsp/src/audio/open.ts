import { type ByteSource, hasText, id3Length, readAhead } from './bytes.ts';
import { AudioError } from './error.ts';
import { openFlac } from './flac.ts';
import { findMp3, openMp3 } from './mp3.ts';
import { openOgg } from './ogg-stream.ts';
import { type AudioStream, expectPossible } from './stream.ts';
import { openWav } from './wav.ts';

/** No audio is kept at other rates; resampling from what a broken header says would take any amount of memory or time. */
const [LEAST_RATE, MOST_RATE] = [1000, 768_000];

/**
 * Opens audio of any format that is known here, by what its first bytes are, not by its name.
 *
 * @throws AudioError 'empty', 'not-audio', 'unsupported' (rates outside 1 to 768 kHz, too), 'truncated' (cut inside the
 *   headers) or 'unreadable'
 */
export async function openAudio(bytes: ByteSource): Promise<AudioStream> {
  const stream = await openFormat(bytes);
  if (stream.sampleRate < LEAST_RATE || stream.sampleRate > MOST_RATE) {
    throw new AudioError(
      bytes.name,
      'unsupported',
      `its header says ${stream.sampleRate} Hz; expected ${LEAST_RATE} to ${MOST_RATE}. The file is damaged; fetch it again`,
    );
  }
  async function checkWhole(): Promise<void> {
    await stream.check();
    expectPossible(bytes.name, stream);
  }
  // Whoever plans by its length asks, and whoever reads to its end: the bytes are looked at once.
  let checked: Promise<void> | undefined;
  return { ...stream, check: () => (checked ??= checkWhole()) };
}

async function openFormat(bytes: ByteSource): Promise<AudioStream> {
  const source = readAhead(bytes);
  if (source.size === 0) throw new AudioError(source.name, 'empty', 'the file has no bytes');
  const head = await source.read(0, 12);
  const isWave = ['RIFF', 'RF64', 'BW64'].some((text) => hasText(head, 0, text));
  if (isWave && (hasText(head, 8, 'WAVE') || source.size < 12)) return openWav(source);
  if (hasText(head, 0, 'OggS')) return openOgg(source);
  const afterTags = await id3Length(source);
  const start = await source.read(afterTags, 4);
  if (hasText(start, 0, 'fLaC')) return openFlac(source);
  const search = afterTags > 0 || source.name.toLowerCase().endsWith('.mp3');
  if (await findMp3(source, search)) return openMp3(source, search);
  const other = otherFormat(head);
  if (other) {
    throw new AudioError(
      source.name,
      'unsupported',
      `${other} is not read; convert it to WAV, FLAC, MP3, Ogg Vorbis or Ogg Opus`,
    );
  }
  throw new AudioError(
    source.name,
    'not-audio',
    'the file is no WAV, FLAC, MP3, Ogg Vorbis or Ogg Opus audio; remove it from the list or convert it',
  );
}

/** Formats that are known to be audio, or to hold it, but are not read. */
function otherFormat(head: Uint8Array): string | null {
  if (hasText(head, 4, 'ftyp')) return 'MPEG-4 audio';
  if (hasText(head, 0, 'FORM') && hasText(head, 8, 'AIF')) return 'AIFF';
  if (hasText(head, 0, 'caff')) return 'Core Audio Format';
  if (head[0] === 0x1a && head[1] === 0x45 && head[2] === 0xdf && head[3] === 0xa3) return 'Matroska or WebM';
  if (hasText(head, 0, 'MThd')) return 'MIDI';
  return null;
}
