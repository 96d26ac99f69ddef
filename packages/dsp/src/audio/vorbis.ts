import { OggVorbisDecoder } from '@wasm-audio-decoders/ogg-vorbis';
import { viewOf } from './bytes.ts';
import { AudioError } from './error.ts';
import type { OggPage } from './ogg.ts';
import type { OggCodec } from './ogg-stream.ts';
import { vorbisBlockFlags, vorbisSamples } from './packet-length.ts';

/** Vorbis as its identification and setup headers, packets 0 and 2, describe it (Vorbis I specification, section 4.2). */
export function vorbisCodec(name: string, [head, , setup]: Uint8Array[], headerPages: OggPage[]): OggCodec {
  if (head.length < 30)
    throw new AudioError(name, 'unreadable', `the Vorbis header has ${head.length} bytes, expected 30`);
  const channels = head[11];
  const sampleRate = viewOf(head).getUint32(12, true);
  const blockSizes: [number, number] = [2 ** (head[28] & 15), 2 ** (head[28] >> 4)];
  const blockFlags = vorbisBlockFlags(setup);
  if (channels === 0 || sampleRate === 0 || !blockFlags) {
    throw new AudioError(
      name,
      'unreadable',
      `the Vorbis headers are damaged: ${channels} channels, ${sampleRate} Hz, ${blockFlags?.length ?? 'no'} modes`,
    );
  }

  async function createDecoder() {
    const decoder = new OggVorbisDecoder();
    await decoder.ready;
    for (const page of headerPages) await decoder.decode(page.bytes);
    // The decoder gives a page's samples when it sees the page after it.
    let held: OggPage | null = null;
    async function finish(decoding: ReturnType<typeof decoder.flush>) {
      const { channelData } = await decoding;
      return held ? { done: held, channels: channelData } : null;
    }
    return {
      async decode(page: OggPage) {
        const result = await finish(decoder.decode(page.bytes));
        held = page;
        return result;
      },
      flush: () => finish(decoder.flush()),
      free: () => decoder.free(),
    };
  }

  const samplesOf = (packets: Uint8Array[]) => vorbisSamples(packets, blockSizes, blockFlags);
  // One page before the target would do; two long blocks make sure that its last packet overlaps a whole one.
  const preRoll = 2 * blockSizes[1];
  return {
    format: 'ogg-vorbis',
    sampleRate,
    channels,
    preSkip: 0,
    preRoll,
    longest: blockSizes[1],
    samplesOf,
    createDecoder,
  };
}
