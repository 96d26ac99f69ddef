/** How many samples compressed packets hold, told from their first bytes without decoding them. */

/** Samples that Vorbis packets at the start of a stream decode to; the first packet gives none, it only overlaps. */
export function vorbisSamples(packets: Uint8Array[], blockSizes: [number, number], blockFlags: number[]): number {
  const modeBits = 32 - Math.clz32(blockFlags.length - 1);
  let total = 0;
  let previous = 0;
  for (const packet of packets) {
    // Bit 0 is set in packets that are no audio; the mode's number follows (Vorbis I section 4.3.1).
    if (packet.length === 0 || packet[0] & 1) continue;
    const mode = (packet[0] >> 1) & ((1 << modeBits) - 1);
    const size = blockSizes[blockFlags[mode] ?? 0];
    if (previous > 0) total += (previous + size) / 4;
    previous = size;
  }
  return total;
}

/**
 * For each mode of a Vorbis setup header, whether its blocks are long (1) or short (0). The modes stand at the end of
 * the header, behind tables of unknown length, so they are read backwards from the final set bit: each is 41 bits, of
 * which 32 must be zero, and 6 bits before the first hold their number less one (Vorbis I section 4.2.4). Null when the
 * header does not look so.
 */
export function vorbisBlockFlags(setup: Uint8Array): number[] | null {
  const field = (start: number, length: number) => {
    let value = 0;
    for (let i = 0; i < length; i++) value += ((setup[(start + i) >> 3] >> ((start + i) & 7)) & 1) * 2 ** i;
    return value;
  };
  let end = setup.length * 8 - 1;
  while (end > 0 && field(end, 1) === 0) end--;
  let flags: number[] | null = null;
  const seen: number[] = [];
  for (let start = end - 41; start >= 6 && seen.length < 64; start -= 41) {
    if (field(start + 1, 32) !== 0 || field(start + 33, 8) > 63) break;
    seen.unshift(field(start, 1));
    if (field(start - 6, 6) + 1 === seen.length) flags = [...seen];
  }
  return flags;
}

/** Samples at 48 kHz that Opus packets decode to (RFC 6716 section 3.1). */
export function opusSamples(packets: Uint8Array[]): number {
  let total = 0;
  for (const packet of packets) {
    if (packet.length === 0) continue;
    const configuration = packet[0] >> 3;
    const code = packet[0] & 3;
    const frames = code === 0 ? 1 : code < 3 ? 2 : (packet[1] ?? 0) & 63;
    total += frames * opusFrame(configuration);
  }
  return total;
}

function opusFrame(configuration: number): number {
  if (configuration < 12) return [480, 960, 1920, 2880][configuration & 3];
  if (configuration < 16) return [480, 960][configuration & 1];
  return [120, 240, 480, 960][configuration & 3];
}
