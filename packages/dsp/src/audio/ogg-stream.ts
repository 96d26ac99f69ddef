/** Ogg Vorbis and Ogg Opus files: what is common to both. The codecs differ in how pages become samples. */
import type { ByteSource } from './bytes.ts';
import { hasText } from './bytes.ts';
import { AudioError } from './error.ts';
import {
  isContinued,
  lastPages,
  type OggPage,
  packetsOf,
  pagesFrom,
  readPage,
  seekPage,
  withoutContinued,
} from './ogg.ts';
import { opusCodec } from './opus.ts';
import type { AudioBlock, AudioStream } from './stream.ts';
import { vorbisCodec } from './vorbis.ts';

/** Turns the audio pages of one stream into samples, one page after the other. */
export type PageDecoder = {
  /**
   * Decodes one page. `done` tells which page the samples belong to, as a decoder may hold a page back; null when none
   * is finished yet. Every sample of a page is given with that page.
   */
  decode(page: OggPage): Promise<{ done: OggPage; channels: Float32Array[] } | null>;
  /** The page that was held back, if any. */
  flush(): Promise<{ done: OggPage; channels: Float32Array[] } | null>;
  free(): void;
};

/** What a codec says about its stream. */
export type OggCodec = {
  format: 'ogg-vorbis' | 'ogg-opus';
  sampleRate: number;
  channels: number;
  /** Samples at the start that are decoded but not played. */
  preSkip: number;
  /** Samples that must be decoded before a seek target so that the target is right. */
  preRoll: number;
  /** Samples of the longest packet. Encoders stamp pages wrong by less. */
  longest: number;
  /** Samples that the packets at the start of the stream decode to. */
  samplesOf(packets: Uint8Array[]): number;
  createDecoder(): Promise<PageDecoder>;
};

type Headers = { codec: OggCodec; serial: number; firstAudio: number; serials: Set<number> };

/** Opens an Ogg Vorbis or Ogg Opus file. Chained streams (several, one after the other) are not read. */
export async function openOgg(source: ByteSource): Promise<AudioStream> {
  const { codec, serial, firstAudio, serials } = await readHeaders(source);
  const { last, lastOfStream } = await lastPages(source, serial);
  if (last && !serials.has(last.serial)) {
    throw new AudioError(
      source.name,
      'unsupported',
      'the Ogg file holds several streams one after the other (chained); split or re-encode it',
    );
  }
  const noAudio = !lastOfStream || lastOfStream.offset < firstAudio;
  if (noAudio) {
    if (last?.ends) throw new AudioError(source.name, 'empty', 'the Ogg file holds no samples');
    throw new AudioError(source.name, 'truncated', 'the Ogg file ends before its first samples');
  }
  const decodedFrom = await firstGranule(source, codec, serial, firstAudio);
  const origin = Math.max(0, decodedFrom) + codec.preSkip;
  const frames = (await lastGranule(source, codec, serial, firstAudio, lastOfStream)) - origin;
  if (frames <= 0) throw new AudioError(source.name, 'empty', 'the Ogg file holds no samples');

  async function check(): Promise<void> {
    if (lastOfStream?.ends) return;
    throw new AudioError(
      source.name,
      'truncated',
      `the last whole Ogg page (${(frames / codec.sampleRate).toFixed(2)} s in) does not end the stream; fetch the file again, or read it with a duration`,
    );
  }

  async function* blocks(start: number): AsyncGenerator<AudioBlock, void, undefined> {
    const before = await seekStamped(source, codec, serial, firstAudio, start + origin - codec.preRoll);
    const decoder = await codec.createDecoder();
    try {
      // Samples are counted, since some encoders stamp pages some hundred samples off and go on right. What the page that
      // was found tells is where they begin; it only warms the decoder up, as its first packet may have begun before it.
      let position = before ? before.granule : decodedFrom;
      let sequence: number | undefined;
      for await (const { done, channels } of decodedPages(source, decoder, before?.offset ?? firstAudio, serial)) {
        const count = channels[0]?.length ?? 0;
        const lost = sequence !== undefined && done.sequence !== sequence + 1;
        sequence = done.sequence;
        if (before && done.offset === before.offset) continue;
        const stamped = done.granule - count;
        const trimmed = done.ends || done.granule < 0 || (!before && done.offset === firstAudio);
        // A gap in the stream; whoever reads across it is told.
        if ((lost && done.granule >= 0) || (!trimmed && Math.abs(stamped - position) >= codec.longest))
          position = stamped;
        if (count > 0) yield { start: position - origin, channels };
        position += count;
      }
    } finally {
      decoder.free();
    }
  }

  const { format, sampleRate, channels } = codec;
  // The shortest packet is one byte, and one more in the page's table.
  const most = Math.ceil((source.size - firstAudio) / 2) * codec.longest;
  return { format, sampleRate, channels, frames, most, check, blocks };
}

async function* decodedPages(source: ByteSource, decoder: PageDecoder, offset: number, serial: number) {
  for await (const whole of pagesFrom(source, offset, serial)) {
    // After a seek the end of an unknown packet would be decoded for one: libvorbis may then never find its way back.
    const page = whole.offset === offset ? withoutContinued(whole) : whole;
    if (!page) continue;
    const result = await decoder.decode(page);
    if (result) yield result;
  }
  const result = await decoder.flush();
  if (result) yield result;
}

/**
 * What the packets decode to that end on the next page with an end of one, and that page; none at the end of the stream or
 * where a page is missing.
 */
async function nextPage(source: ByteSource, codec: OggCodec, serial: number, page: OggPage) {
  const own = packetsOf(page, new Uint8Array(0));
  // Where a page's only packet began before it, nothing tells how it overlaps the next one.
  if (own.packets.length < (isContinued(page) ? 2 : 1)) return undefined;
  const before = own.packets.slice(-1);
  const packets: Uint8Array[] = [];
  let { rest } = own;
  let { sequence } = page;
  for await (const next of pagesFrom(source, page.offset + page.bytes.length, serial)) {
    if (next.sequence !== ++sequence) return undefined;
    const result = packetsOf(next, rest);
    packets.push(...result.packets);
    rest = result.rest;
    if (next.granule < 0) continue;
    return { next, samples: codec.samplesOf([...before, ...packets]) - codec.samplesOf(before) };
  }
  return undefined;
}

/** Pages that are held against each other before one is believed. */
const WITNESSES = 3;

/** Whether a page's granule position and those of the next pages go together, as far as can be told. */
async function isStamped(source: ByteSource, codec: OggCodec, serial: number, page: OggPage): Promise<boolean> {
  let last = page;
  for (let i = 0; i < WITNESSES; i++) {
    const following = await nextPage(source, codec, serial, last);
    if (!following || following.next.ends) return true;
    if (following.next.granule - last.granule !== following.samples) return false;
    last = following.next;
  }
  return true;
}

/** As `seekPage`, but earlier where an encoder stamped the page wrong. */
async function seekStamped(
  source: ByteSource,
  codec: OggCodec,
  serial: number,
  firstAudio: number,
  granule: number,
): Promise<OggPage | null> {
  let page = await seekPage(source, serial, firstAudio, granule);
  while (page && !(await isStamped(source, codec, serial, page))) {
    page = await seekPage(source, serial, firstAudio, page.granule - 1);
  }
  return page;
}

/** Where the last sample ends: the last page's granule position, or what there is to decode, if that is less. */
async function lastGranule(
  source: ByteSource,
  codec: OggCodec,
  serial: number,
  firstAudio: number,
  last: OggPage,
): Promise<number> {
  const page = await seekPage(source, serial, firstAudio, last.granule - 1);
  const following = page && (await nextPage(source, codec, serial, page));
  return following ? Math.min(last.granule, page.granule + following.samples) : last.granule;
}

/**
 * The granule position of the first decoded sample: 0; later in a stream that was cut out of a longer one, whose first
 * page has a granule position larger than its number of samples (RFC 7845 section 4.3); below 0 where it is smaller,
 * which means that so many samples are not played (Vorbis I section A.2). On a last page that would cut the end instead.
 */
async function firstGranule(source: ByteSource, codec: OggCodec, serial: number, firstAudio: number): Promise<number> {
  const packets: Uint8Array[] = [];
  let rest: Uint8Array = new Uint8Array(0);
  for await (const page of pagesFrom(source, firstAudio, serial)) {
    const result = packetsOf(page, rest);
    packets.push(...result.packets);
    rest = result.rest;
    if (page.granule < 0) continue;
    const start = page.granule - codec.samplesOf(packets);
    return page.ends ? Math.max(0, start) : start;
  }
  return 0;
}

async function readHeaders(source: ByteSource): Promise<Headers> {
  const serials = new Set<number>();
  let chosen: OggPage | null = null;
  let offset = 0;
  for (;;) {
    const page = await readPage(source, offset);
    if (!page) {
      throw new AudioError(source.name, 'truncated', `the Ogg headers are cut off or damaged at byte ${offset}`);
    }
    if (!page.begins) break;
    serials.add(page.serial);
    if (!chosen && isKnown(page)) chosen = page;
    offset += page.bytes.length;
  }
  if (!chosen) {
    throw new AudioError(
      source.name,
      'unsupported',
      'the Ogg file holds neither Vorbis nor Opus audio; convert it to FLAC, WAV, Vorbis or Opus',
    );
  }
  const opus = hasText(chosen.bytes, 28, 'OpusHead');
  // Opus has two header packets and Vorbis three; the samples begin on a new page after the last of them.
  const expected = opus ? 2 : 3;
  const packets: Uint8Array[] = [];
  const pages: OggPage[] = [];
  let rest: Uint8Array = new Uint8Array(0);
  for await (const page of pagesFrom(source, chosen.offset, chosen.serial)) {
    const result = packetsOf(page, rest);
    packets.push(...result.packets);
    pages.push(page);
    rest = result.rest;
    if (packets.length < expected) continue;
    const codec = opus ? opusCodec(source.name, packets[0]) : vorbisCodec(source.name, packets, pages);
    return { codec, serial: chosen.serial, firstAudio: page.offset + page.bytes.length, serials };
  }
  throw new AudioError(source.name, 'truncated', 'the Ogg file ends inside its headers');
}

function isKnown(page: OggPage): boolean {
  const packet = 27 + page.bytes[26];
  return hasText(page.bytes, packet, '\x01vorbis') || hasText(page.bytes, packet, 'OpusHead');
}
