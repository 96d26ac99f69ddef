import { OpusDecoder } from 'opus-decoder';
import { viewOf } from './bytes.ts';
import { AudioError } from './error.ts';
import { isContinued, packetsOf } from './ogg.ts';
import type { OggCodec } from './ogg-stream.ts';
import { opusSamples } from './packet-length.ts';

/** Opus always decodes at 48 kHz here, whatever the rate of the signal that was encoded. */
const sampleRate = 48000;

/** Opus as its identification header describes it (RFC 7845 section 5.1). */
export function opusCodec(name: string, head: Uint8Array): OggCodec {
  if (head.length < 19)
    throw new AudioError(name, 'unreadable', `the Opus header has ${head.length} bytes, expected 19`);
  const view = viewOf(head);
  const channels = head[9];
  const preSkip = view.getUint16(10, true);
  // The decoder library leaves the header's output gain (in 1/256 dB) to its caller.
  const gain = 10 ** (view.getInt16(16, true) / 256 / 20);
  const family = head[18];
  if (channels === 0 || (family === 0 && channels > 2) || (family !== 0 && head.length < 21 + channels)) {
    throw new AudioError(name, 'unreadable', `the Opus header is damaged: ${channels} channels in mapping ${family}`);
  }
  const mapping =
    family === 0
      ? { streamCount: 1, coupledStreamCount: channels - 1, channelMappingTable: channels === 2 ? [0, 1] : [0] }
      : {
          streamCount: head[19],
          coupledStreamCount: head[20],
          channelMappingTable: [...head.subarray(21, 21 + channels)],
        };

  async function createDecoder() {
    const decoder = new OpusDecoder({ channels, ...mapping });
    await decoder.ready;
    let rest: Uint8Array | null = null;
    return {
      async decode(page: Parameters<typeof packetsOf>[0]) {
        const first = rest === null;
        const result = packetsOf(page, rest ?? new Uint8Array(0));
        // After a seek the first packet may be the end of one that began on a page that was not read.
        const packets = first && isContinued(page) ? result.packets.slice(1) : result.packets;
        rest = result.rest;
        const decoded = decoder.decodeFrames(packets);
        if (decoded.errors.length > 0) {
          throw new AudioError(
            name,
            'unreadable',
            `damaged Opus packet near byte ${page.offset}: ${decoded.errors[0].message}`,
          );
        }
        if (gain !== 1)
          for (const channel of decoded.channelData) for (let i = 0; i < channel.length; i++) channel[i] *= gain;
        return { done: page, channels: decoded.channelData };
      },
      flush: async () => null,
      free: () => decoder.free(),
    };
  }

  // 80 ms make the decoder converge audibly (RFC 7845 section 4.6); to agree with a decode from the start to better than
  // 80 dB takes longer, because the prediction of band energies forgets slowly.
  return {
    format: 'ogg-opus',
    sampleRate,
    channels,
    preSkip,
    preRoll: sampleRate,
    longest: (120 * sampleRate) / 1000,
    samplesOf: opusSamples,
    createDecoder,
  };
}
