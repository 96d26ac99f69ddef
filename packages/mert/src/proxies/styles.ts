/** Styles of accompaniment: mma's style files, their grooves, and families of them. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashModulo } from '../evaluation/data.ts';
import type { Split } from '../evaluation/names.ts';

/** Ten families of mma's style files, by their names; no file is in two. */
export const families: Readonly<Record<string, readonly string[]>> = {
  swing: [
    ...['swing', 'bebop', 'bigband', 'easyswing', 'fastswing', 'foxtrot', 'gypsyjazz', 'jazzcombo', 'jazzguitar'],
    ...['mellowjazz', 'modernjazz', 'nitejazz', 'quickstep', 'slowjazz', 'descendingjazz', 'jive'],
  ],
  blues: ['blues', 'blues128', 'fastblues', 'slowblues', 'boggiewoggie', 'shuffleboggie', 'countryblues'],
  rock: [
    '50srock',
    '60srock',
    '8beat',
    'basicrock',
    'bubblerock',
    'folkrock',
    'rock-128',
    'softrock',
    'twist',
    'jazzrock',
  ],
  country: ['bluegrass', 'countryswing', 'hillcountry', 'slowcountry', 'westernswing', 'folk', 'zydeco'],
  latin: [
    ...['beguine', 'bolero', 'bossanova', 'calypso', 'chacha', 'cubanguitar', 'mambo', 'merengue', 'rhumba', 'salsa'],
    ...['samba', 'son', 'tango', 'lighttango', 'slowbolero', 'jazzrhumba'],
  ],
  waltz: [
    ...['arpeggiowaltz', 'broadwaywaltz', 'countrywaltz', 'fastjazzwaltz', 'fastwaltz', 'frenchwaltz', 'jazzwaltz'],
    ...['latinwaltz', 'modernjazzwaltz', 'rockwaltz', 'waltz'],
  ],
  ballad: [
    ...['ballad', 'ballad128', 'folkballad', 'guitarballad', 'pianoballad', 'popballad', 'rockballad', 'stringballad'],
    ...['rb-ballad'],
  ],
  march: ['march', 'bwmarch', 'dixiemarch', 'polka'],
  soul: ['bvfunk', 'dsoul', 'rb', 'strut', 'lfusion', 'boneym'],
  ragtime: ['ragtime', 'dixie', 'charleston', 'softshoe'],
};

/** Files of no family, for tasks that do not ask for it. */
const others = [
  ...[
    'arpeggio44',
    'bluefolk',
    'broadway',
    'folkyjazz',
    'evansish',
    'hymn',
    'lullaby',
    'popspiritual',
    'showtune',
    'ska',
  ],
  ...['slowbroadway', 'slowspiritual', 'spiritual'],
];

/** Words in the names of style files that three files have at least. */
export const styleWords = [
  ...['waltz', 'ballad', 'swing', 'rock', 'jazz', 'blues', 'country', 'folk', 'march', 'slow', 'fast', 'broadway'],
  ...['spiritual', 'guitar', 'boggie', 'rhumba', 'bolero', 'tango'],
];

/** A groove of a style file. */
export interface Groove {
  /** The file's name without its ending. */
  readonly style: string;
  readonly name: string;
  /** Beats, all of them crotchets, in a bar. */
  readonly metre: 3 | 4;
  readonly family: string | undefined;
}

/** Bars that only begin, end or fill. */
const partial =
  /(Intro|Ending|End|Fill|Metronome)|(Fade|Break|Stop|Finale|Tag|Lead|Pickup|Turn|Close)[\d-]*(Sus|Plus)*\d*$/;

/** The grooves of one style file. @throws Error when the file is not there. */
export function groovesOf(folder: string, style: string): Groove[] {
  const path = join(folder, `${style}.mma`);
  if (!existsSync(path)) throw new Error(`${path}: mma has no such style file; expected those of mma 21`);
  const text = readFileSync(path, 'latin1');
  const metre = Number(/^\s*Time\s+(\d+)/im.exec(text)?.[1] ?? 4);
  if (metre !== 3 && metre !== 4) throw new Error(`${path}: has bars of ${metre} beats; expected 3 or 4`);
  const family = Object.keys(families).find((own) => families[own].includes(style));
  const names = [...text.matchAll(/^\s*DefGroove\s+(\S+)/gim)].map(([, name]) => name);
  return names.filter((name) => !partial.test(name)).map((name) => ({ style, name, metre, family }));
}

/**
 * The style files of each split, which share none: about a fifth of each family is for the test and a seventh for
 * validation, by a hash of their names.
 */
export function stylesBySplit(only: 'families' | 'all'): Record<Split, string[]> {
  const out: Record<Split, string[]> = { train: [], valid: [], test: [] };
  for (const files of [...Object.values(families), ...(only === 'all' ? [others] : [])]) {
    const order = [...files].sort((a, b) => hashModulo(a, 1_000_003) - hashModulo(b, 1_000_003));
    const test = Math.max(1, Math.round(order.length * 0.25));
    const valid = Math.max(1, Math.round(order.length * 0.15));
    out.test.push(...order.slice(0, test));
    out.valid.push(...order.slice(test, test + valid));
    out.train.push(...order.slice(test + valid));
  }
  return out;
}
