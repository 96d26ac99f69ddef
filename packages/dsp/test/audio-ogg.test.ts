import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { oggChecksum } from '../src/audio/checksum.ts';
import { decodeAudio, memorySource } from '../src/audio/index.ts';
import { packetsOf, pagesFrom, readPage, withoutContinued } from '../src/audio/ogg.ts';
import { opusSamples } from '../src/audio/packet-length.ts';

const golden = (name: string) => Uint8Array.from(readFileSync(new URL(`golden/audio/${name}`, import.meta.url)));

function largestDifference(a: Float32Array, b: Float32Array): number {
  assert.is(a.length, b.length);
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0);
}

/** An Ogg file with all positions of its audio pages moved by `shift` samples. */
function shiftedOgg(bytes: Uint8Array, shift: number): Uint8Array {
  const shifted = bytes.slice();
  const view = new DataView(shifted.buffer);
  for (let at = 0; at < shifted.length; ) {
    const segments = shifted.subarray(at + 27, at + 27 + shifted[at + 26]);
    const page = shifted.subarray(at, at + 27 + segments.length + segments.reduce((sum, size) => sum + size, 0));
    const granule = view.getBigInt64(at + 6, true);
    if (granule > 0n) view.setBigInt64(at + 6, granule + BigInt(shift), true);
    view.setUint32(at + 22, oggChecksum(page), true);
    at += page.length;
  }
  return shifted;
}

for (const name of ['chirp.ogg', 'chirp.opus']) {
  test(`${name}: a stream cut out of a longer one starts at its first sample; one that starts below 0 loses those samples`, async () => {
    const bytes = golden(name);
    const whole = (await decodeAudio(memorySource(bytes))).samples;
    for (const [shift, lost] of [
      [0, 0],
      [123456, 0],
      [-1000, 1000],
    ]) {
      const source = memorySource(shiftedOgg(bytes, shift), name);
      assert.equal((await decodeAudio(source)).samples, whole.slice(lost));
      const part = await decodeAudio(source, { start: 1.5, duration: 0.5 });
      const first = lost + 1.5 * part.sampleRate;
      assert.ok(largestDifference(whole.slice(first, first + part.samples.length), part.samples) < 1e-5);
    }
  });
}

/** The offsets of the pages of an Ogg file, and where it ends. */
function pageOffsets(bytes: Uint8Array): number[] {
  const offsets = [0];
  for (let at = 0; at < bytes.length; offsets.push(at)) {
    const segments = bytes.subarray(at + 27, at + 27 + bytes[at + 26]);
    at += 27 + segments.length + segments.reduce((sum, size) => sum + size, 0);
  }
  return offsets;
}

for (const name of ['chirp.ogg', 'chirp.opus']) {
  test(`${name}: pages that an encoder stamped some samples off lose nothing and move nothing`, async () => {
    const bytes = name === 'chirp.opus' ? Uint8Array.from(await repaged(golden(name), 6)) : golden(name);
    const whole = (await decodeAudio(memorySource(bytes))).samples;
    const offsets = pageOffsets(bytes);
    const pages = offsets.length - 1;
    // The first page tells where the stream begins, and the last but one what libvorbis cuts off at the end.
    const several = pages > 9 ? [[pages - 4], [pages - 5, pages - 4], [pages - 2]] : [];
    for (const wrong of [...several, [pages - 1]]) {
      const stamped = bytes.slice();
      const view = new DataView(stamped.buffer);
      for (const page of wrong) {
        const [at, end] = offsets.slice(page);
        view.setBigInt64(at + 6, view.getBigInt64(at + 6, true) + (page === pages - 1 ? 5000n : 100n), true);
        view.setUint32(at + 22, oggChecksum(stamped.subarray(at, end)), true);
      }
      const source = memorySource(stamped, name);
      const heard = (await decodeAudio(source)).samples;
      // What the last page cut off is there when it claims more.
      assert.equal(heard.slice(0, whole.length), whole);
      for (let start = 0.1; start < 2.8; start += 0.3) {
        const { samples, sampleRate } = await decodeAudio(source, { start, duration: 0.1 });
        const first = Math.round(start * sampleRate);
        assert.ok(largestDifference(whole.slice(first, first + samples.length), samples) < 1e-5, `${wrong} ${start}`);
      }
    }
  });

  test(`${name}: a page that is missing is told, not closed up`, async () => {
    const bytes = name === 'chirp.opus' ? Uint8Array.from(await repaged(golden(name), 6)) : golden(name);
    const offsets = pageOffsets(bytes);
    const gone = offsets.length - 3;
    const cut = Uint8Array.from([...bytes.subarray(0, offsets[gone]), ...bytes.subarray(offsets[gone + 1])]);
    try {
      await decodeAudio(memorySource(cut, name));
      assert.unreachable();
    } catch (error) {
      assert.match((error as Error).message, /could not be decoded|promises/);
    }
  });
}

/** The same Opus packets on pages of few segments, so that packets go on from page to page. */
async function repaged(bytes: Uint8Array, segmentsPerPage: number): Promise<Uint8Array> {
  const source = memorySource(bytes);
  const first = await pagesFrom(source, 0, new DataView(bytes.buffer).getUint32(14, true)).next();
  const serial = first.value!.serial;
  const segments: { data: Uint8Array; granule: number }[] = [];
  const output: Uint8Array[] = [];
  let rest: Uint8Array = new Uint8Array(0);
  let headers = 2;
  let position = 0;
  let lastGranule = 0;
  for await (const page of pagesFrom(source, 0, serial)) {
    if (headers-- > 0) {
      output.push(page.bytes);
      continue;
    }
    const result = packetsOf(page, rest);
    rest = result.rest;
    lastGranule = page.granule;
    for (const packet of result.packets) {
      position += opusSamples([packet]);
      for (let at = 0; at <= packet.length; at += 255) {
        const isEnd = at + 255 > packet.length;
        segments.push({ data: packet.subarray(at, at + 255), granule: isEnd ? position : -1 });
      }
    }
  }
  for (let i = 0; i < segments.length; i += segmentsPerPage) {
    const part = segments.slice(i, i + segmentsPerPage);
    const isLast = i + segmentsPerPage >= segments.length;
    const granule = isLast ? lastGranule : Math.max(...part.map((segment) => segment.granule));
    const isContinued = i > 0 && segments[i - 1].data.length === 255;
    const page = Buffer.concat([
      Buffer.alloc(27),
      Buffer.from(part.map(({ data }) => data.length)),
      ...part.map(({ data }) => data),
    ]);
    page.write('OggS');
    page[5] = (isContinued ? 1 : 0) | (isLast ? 4 : 0);
    page.writeBigInt64LE(BigInt(granule), 6);
    page.writeUInt32LE(serial, 14);
    page.writeUInt32LE(2 + i / segmentsPerPage, 18);
    page[26] = part.length;
    page.writeUInt32LE(oggChecksum(page), 22);
    output.push(page);
  }
  return Buffer.concat(output);
}

test('packets that go on from page to page are whole, also after a seek', async () => {
  const bytes = golden('chirp.opus');
  const whole = (await decodeAudio(memorySource(bytes))).samples;
  for (const segmentsPerPage of [3, 7]) {
    const source = memorySource(await repaged(bytes, segmentsPerPage));
    assert.equal((await decodeAudio(source)).samples, whole);
    for (let start = 1; start < 2.8; start += 0.17) {
      const { samples } = await decodeAudio(source, { start, duration: 0.1 });
      const first = Math.round(start * 48000);
      assert.ok(largestDifference(whole.slice(first, first + samples.length), samples) < 1e-5);
    }
  }
});

/** A page of segments of these sizes, whose bytes count up. */
function pageOf(segments: number[], flags: number): Uint8Array {
  const size = segments.reduce((sum, length) => sum + length, 0);
  const page = new Uint8Array(27 + segments.length + size);
  page.set([0x4f, 0x67, 0x67, 0x53, 0, flags]);
  page[26] = segments.length;
  page.set(segments, 27);
  for (let i = 0; i < size; i++) page[27 + segments.length + i] = i % 251;
  new DataView(page.buffer).setUint32(22, oggChecksum(page), true);
  return page;
}

test('a page without the end of a packet that began before it', async () => {
  // libvorbis takes that end for a packet, after which some files decode to nothing.
  const page = (await readPage(memorySource(pageOf([255, 10, 20, 30], 1)), 0))!;
  const cut = withoutContinued(page)!;
  assert.equal(await readPage(memorySource(cut.bytes), 0), { ...cut, offset: 0 });
  assert.is(cut.bytes[5] & 1, 0);
  assert.equal(packetsOf(cut, new Uint8Array(0)).packets, packetsOf(page, new Uint8Array(0)).packets.slice(1));
  const fresh = (await readPage(memorySource(pageOf([20], 0)), 0))!;
  assert.is(withoutContinued(fresh), fresh);
  for (const segments of [
    [255, 255],
    [255, 7],
  ]) {
    assert.is(withoutContinued((await readPage(memorySource(pageOf(segments, 1)), 0))!), null);
  }
});

test.run();
