/**
 * Tiny copies of the data sets of the 14 tasks in their real layouts: each clip is a tone whose frequency is a code, and the
 * code tells the label. Audio files are WAV whatever their names end in: they are read by what is in them.
 */
import { join } from 'node:path';
import { encodeWav } from '@dawnchorus/dsp';
import { tensor } from '@dawnchorus/tensor';
import {
  gtzanGenres,
  magnaTagATuneTags,
  nsynthFamilies,
  vocalSetSingers,
  vocalSetTechniques,
} from '../src/evaluation/classes.ts';
import { hashModulo } from '../src/evaluation/data.ts';
import { type FeatureSource, HOP, SAMPLE_RATE } from '../src/evaluation/features/source.ts';
import { keyNames } from '../src/evaluation/metrics/index.ts';
import { type Split, stemNames } from '../src/evaluation/names.ts';
import { writeFile } from './support.ts';

/** Codes of a data set, and how many clips of each code a split has. */
export const CODES = 4;
export const COUNTS: Readonly<Record<Split, number>> = { train: 4, valid: 2, test: 2 };
const [LOWEST, STEP] = [120, 24];

const frequencyOf = (code: number): number => LOWEST + STEP * code;

/** A tone of a code, with a bit of noise that tells clips apart. */
export function codedTone(code: number, seconds = 0.5, seed = 0): Float32Array {
  const phase = 0.1 + ((seed * 37) % 11) / 20;
  return Float32Array.from(
    { length: Math.round(seconds * SAMPLE_RATE) },
    (_, n) => 0.5 * Math.sin((2 * Math.PI * frequencyOf(code) * n) / SAMPLE_RATE + phase),
  );
}

/** The code of a tone: by how often it crosses zero. */
export function codeOf(samples: Float32Array): number {
  let crossings = 0;
  for (let n = 1; n < samples.length; n++) if (samples[n - 1] < 0 !== samples[n] < 0) crossings++;
  return Math.round(((crossings * SAMPLE_RATE) / (2 * samples.length) - LOWEST) / STEP);
}

const source = (name: string, dimension: number, rows: (clip: Float32Array) => Float32Array): FeatureSource => ({
  ...{ name, hash: `${name}-${dimension}`.padEnd(64, '0'), layers: 1, dimension, firstSummed: 0, standardise: false },
  hear(clips) {
    const all = clips.map(rows);
    const data = Float32Array.from(all.flatMap((own) => [...own]));
    return tensor(data, { shape: [1, clips.length, all[0].length / dimension, dimension] });
  },
  dispose: () => {},
});

/** Features that contain the answer: the code, one of `dimension`. */
export const oracle = (dimension = CODES, codes: (code: number) => number = (code) => code): FeatureSource =>
  source('oracle', dimension, (clip) =>
    Float32Array.from({ length: dimension }, (_, k) => (codes(codeOf(clip)) === k ? 1 : 0)),
  );

/** Frames that contain the answer of beats: whether a click, or a loud one, is 0, 1 or 2 frames away. */
export const beatOracle = (): FeatureSource =>
  source('beat-oracle', 6, (clip) => {
    const frames = Math.floor(clip.length / HOP) + 1;
    const out = new Float32Array(frames * 6);
    for (let n = 0; n < clip.length; n++) {
      if (Math.abs(clip[n]) < 0.3) continue;
      // Frame t is centred on sample t HOP.
      const click = Math.round(n / HOP);
      for (let t = Math.max(0, click - 2); t <= Math.min(frames - 1, click + 2); t++) {
        out[t * 6 + Math.abs(t - click)] = 1;
        if (Math.abs(clip[n]) > 0.8) out[t * 6 + 3 + Math.abs(t - click)] = 1;
      }
    }
    return out;
  });

const wav = (samples: Float32Array): Uint8Array => encodeWav(samples, SAMPLE_RATE);

/** Clips of all splits and codes: `write` is told split, code, and a running number. */
function each(write: (split: Split, code: number, number: number) => void): void {
  let number = 0;
  for (const [split, count] of Object.entries(COUNTS) as [Split, number][]) {
    for (let i = 0; i < count; i++) for (let code = 0; code < CODES; code++) write(split, code, number++);
  }
}

const table = (rows: readonly (readonly (string | number)[])[], separator: string): string =>
  `${rows.map((row) => row.join(separator)).join('\n')}\n`;

export function makeMagnaTagATune(folder: string): string {
  const rows: (string | number)[][] = [['clip_id', ...magnaTagATuneTags, 'mp3_path']];
  each((split, code, number) => {
    const digit = { train: number % 2 === 0 ? '0' : 'b', valid: 'c', test: number % 2 === 0 ? 'd' : 'f' }[split];
    const path = `${digit}/clip-${number}.mp3`;
    // Two tags a clip.
    rows.push([number, ...magnaTagATuneTags.map((_, k) => (k === code || k === (code + 1) % CODES ? 1 : 0)), path]);
    writeFile(join(folder, path), wav(codedTone(code, 0.5, number)));
  });
  writeFile(
    join(folder, 'annotations_final.csv'),
    table(
      rows.map((row) => row.map((own) => `"${own}"`)),
      '\t',
    ),
  );
  return folder;
}

/** A name that begins so and is wanted: the splits by hash send it where it should go. */
function named(prefix: string, wanted: (name: string) => boolean): string {
  for (let i = 0; ; i++) {
    const letters = [...i.toString(26).padStart(3, '0')].map(
      (digit) => 'abcdefghijklmnopqrstuvwxyz'[Number.parseInt(digit, 26)],
    );
    const name = prefix + letters.join('');
    if (wanted(name)) return name;
  }
}

export function makeGiantSteps(folder: string): string {
  const train = join(folder, 'giantsteps-mtg-key-dataset-fd7b8c5');
  const test = join(folder, 'giantsteps-key-dataset-c8cb8aa');
  const annotations: (string | number)[][] = [['ID', 'MANUAL KEY', 'C', 'KEY', 'COMMENTS']];
  const metadata: (string | number)[][] = [['ID', 'ARTIST', 'TITLE']];
  each((split, code, number) => {
    const key = keyNames[code];
    if (split === 'test') {
      writeFile(join(test, 'annotations', 'key', `${number}.LOFI.key`), `${key}\n`);
      writeFile(join(test, 'audio', `${number}.LOFI.mp3`), wav(codedTone(code, 0.5, number)));
      return;
    }
    const artist = named(`artist ${number} `, (name) => hashModulo(name, 116) < 100 === (split === 'train'));
    annotations.push([number, key, 2, key, '']);
    metadata.push([number, artist, 'title']);
    writeFile(join(train, 'audio', `${number}.LOFI.mp3`), wav(codedTone(code, 0.5, number)));
  });
  // Neither sure nor in one key: left out, though there is no audio.
  annotations.push([9001, 'C major', 1, '', ''], [9002, 'C major / A minor', 2, '', '']);
  writeFile(join(train, 'annotations', 'annotations.txt'), table(annotations, '\t'));
  writeFile(join(train, 'annotations', 'beatport_metadata.txt'), table(metadata, '\t'));
  return folder;
}

/** A click at each beat, a louder one at each downbeat. */
function clicks(seconds: number, beats: readonly number[]): Float32Array {
  const out = new Float32Array(Math.round(seconds * SAMPLE_RATE));
  for (const [i, beat] of beats.entries()) out[Math.round(beat * SAMPLE_RATE)] = i % 4 === 0 ? 1 : 0.5;
  return out;
}

const RHYTHM_SECONDS = 6;

export function makeGtzan(folder: string, rhythm = false): string {
  const lists: Record<Split, string[]> = { train: [], valid: [], test: [] };
  each((split, code, number) => {
    const name = `${gtzanGenres[code]}.${String(number).padStart(5, '0')}.wav`;
    lists[split].push(`${gtzanGenres[code]}/${name}`);
    const [interval, first] = [60 / (75 + ((number * 29) % 127)), 0.05 + ((number * 0.137) % 0.4)];
    const beats = Array.from(
      { length: Math.floor((RHYTHM_SECONDS - first) / interval) },
      (_, i) => first + i * interval,
    );
    const samples = rhythm ? clicks(RHYTHM_SECONDS, beats) : codedTone(code, 0.5, number);
    writeFile(join(folder, 'genres', gtzanGenres[code], name), wav(samples));
    if (!rhythm) return;
    const annotation = (type: string, times: number[]) => ({
      namespace: 'beat',
      sandbox: { annotation_type: type },
      data: times.map((time) => ({ time, duration: 0, value: 1, confidence: 1 })),
    });
    const annotations = [
      annotation('beat', beats),
      annotation(
        'downbeat',
        beats.filter((_, i) => i % 4 === 0),
      ),
    ];
    writeFile(join(folder, 'GTZAN-Rhythm_v2_ismir2015_lbd', 'jams', `${name}.jams`), JSON.stringify({ annotations }));
  });
  for (const [split, lines] of Object.entries(lists))
    writeFile(join(folder, `${split}_filtered.txt`), `${lines.join('\n')}\n`);
  return folder;
}

export function makeEmoMusic(folder: string): string {
  const info: (string | number)[][] = [['song_id', 'file_name', 'Artist', 'Song title', 'Mediaeval 2013 set']];
  const values: (string | number)[][] = [['song_id', 'mean_arousal', 'std_arousal', 'mean_valence', 'std_valence']];
  each((split, code, number) => {
    const artist = named('Artist ', (name) => hashModulo(name.toLowerCase(), 10) < 8 === (split === 'train'));
    info.push([number, `${number}.mp3`, `"${artist}"`, 'title', split === 'test' ? 'evaluation' : 'development']);
    values.push([number, 3 + code, 1, 8 - ((code * 2) % CODES), 1]);
    writeFile(join(folder, 'clips_45seconds', `${number}.mp3`), wav(codedTone(code, 0.5, number)));
  });
  writeFile(join(folder, 'songs_info.csv'), table(info, ','));
  writeFile(join(folder, 'static_annotations.csv'), table(values, ','));
  return folder;
}

export function makeNsynth(folder: string): string {
  const examples: Record<Split, Record<string, unknown>> = { train: {}, valid: {}, test: {} };
  each((split, code, number) => {
    const name = `${nsynthFamilies[code]}_acoustic_${String(number).padStart(3, '0')}-060-100`;
    examples[split][name] = { pitch: 60 + code, instrument_family_str: nsynthFamilies[code] };
    writeFile(join(folder, `nsynth-${split}`, 'audio', `${name}.wav`), wav(codedTone(code, 0.5, number)));
  });
  for (const [split, own] of Object.entries(examples)) {
    writeFile(join(folder, `nsynth-${split}`, 'examples.json'), JSON.stringify(own));
  }
  return folder;
}

/** Codes say singer and technique: of both, `techniques` and 20. */
export const vocalSetCode = { technique: (code: number) => Math.floor(code / 20), singer: (code: number) => code % 20 };

export function makeVocalSet(folder: string): string {
  for (const [s, singer] of vocalSetSingers.entries()) {
    const full = singer.replace(/^f/, 'female').replace(/^m/, 'male');
    for (const technique of [0, 1, 2, 3]) {
      // Of each singer two recordings train, one validates, one tests; techniques take turns.
      const turn = (technique + s) % 4;
      const [low, high] = [
        [0, 12],
        [0, 12],
        [12, 20],
        [20, 25],
      ][turn];
      const place = `${full}/scales/${vocalSetTechniques[technique]}`;
      const name = named(`${singer}_scales_`, (own) => {
        const hash = hashModulo(`${place}/${own}.wav`, 25);
        return hash >= low && hash < high;
      });
      writeFile(join(folder, 'FULL', place, `${name}.wav`), wav(codedTone(technique * 20 + s, 3.1)));
    }
  }
  return folder;
}

export function makeJamendo(folder: string, list: string): string {
  const head = ['TRACK_ID', 'ARTIST_ID', 'ALBUM_ID', 'PATH', 'DURATION', 'TAGS'];
  const rows: Record<string, (string | number)[][]> = { train: [head], validation: [head], test: [head] };
  each((split, code, number) => {
    const path = `${String(number % 100).padStart(2, '0')}/${number}.mp3`;
    const tags = [`kind---tag${code}`, `kind---tag${(code + 1) % CODES}`];
    rows[split === 'valid' ? 'validation' : split].push([`track_${number}`, 'artist_1', 'album_1', path, 30, ...tags]);
    writeFile(join(folder, 'audio-low', path.replace('.mp3', '.low.mp3')), wav(codedTone(code, 0.5, number)));
  });
  for (const [part, own] of Object.entries(rows)) {
    writeFile(join(folder, 'data', 'splits', 'split-0', `autotagging_${list}-${part}.tsv`), table(own, '\t'));
  }
  return folder;
}

const STEM_TONES = [400, 1200, 2800, 5200];
/** How loud each stem is, which tells who plays what. */
const STEM_VOLUMES = [0.4, 0.2, 0.15, 0.1];
const TRACK_SECONDS = 0.25;

const sine = (hertz: number, volume: number, samples: number, phase: number): Float32Array =>
  Float32Array.from({ length: samples }, (_, n) => volume * Math.sin((2 * Math.PI * hertz * n) / SAMPLE_RATE + phase));

/** Tracks of four tones, which change places among the stems from track to track. */
export function makeMusdb18(folder: string): string {
  const tracks: Record<string, string[]> = {
    train: ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'Actions - One Minute Smile', 'Meaxic - Take A Step'],
    test: ['W', 'X', 'Y', 'Z'],
  };
  for (const [part, names] of Object.entries(tracks)) {
    for (const [track, name] of names.entries()) {
      const samples = Math.round(TRACK_SECONDS * SAMPLE_RATE);
      const mixture = new Float32Array(samples);
      for (const [k, stem] of stemNames.entries()) {
        const tone = sine(STEM_TONES[(k + track) % STEM_TONES.length], STEM_VOLUMES[k], samples, track);
        for (let n = 0; n < samples; n++) mixture[n] += tone[n];
        writeFile(join(folder, part, name, `${stem}.wav`), wav(tone));
      }
      writeFile(join(folder, part, name, 'mixture.wav'), wav(mixture));
    }
  }
  return folder;
}

/** Frames that contain the answer of separation: which tone is the loudest, that of the first stem. */
export const stemOracle = (): FeatureSource =>
  source('stem-oracle', STEM_TONES.length, (clip) => {
    const loudness = STEM_TONES.map((hertz) => {
      let [re, im] = [0, 0];
      for (let n = 0; n < clip.length; n++) {
        const angle = (2 * Math.PI * hertz * n) / SAMPLE_RATE;
        re += clip[n] * Math.cos(angle);
        im += clip[n] * Math.sin(angle);
      }
      return re * re + im * im;
    });
    const loudest = loudness.indexOf(Math.max(...loudness));
    const frames = Math.floor(clip.length / HOP) + 1;
    return Float32Array.from({ length: frames * STEM_TONES.length }, (_, i) =>
      i % STEM_TONES.length === loudest ? 1 : 0,
    );
  });
