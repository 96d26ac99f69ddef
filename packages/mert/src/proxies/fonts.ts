/**
 * The sound fonts that proxies are rendered with. Fonts of one lineage share samples, so that a held-out font must be of
 * another lineage: FluidR3 went into MuseScore's fonts, and 281 of the 431 samples of csound's bank are TimGM6mb's.
 */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Split } from '../evaluation/names.ts';

/** What is known of a sound font by its file's name. */
export interface KnownFont {
  /** Its name in proxies. */
  readonly name: string;
  readonly file: string;
  /** Fonts that share samples share it. */
  readonly lineage: 'F' | 'O' | 'T' | 'S';
  /** Where it comes from: Debian's package, or npm's. */
  readonly from: string;
  readonly licence: string;
  /** Programs that an audit by the notes' harmonics found without the pitch that is written. */
  readonly unsound: readonly number[];
}

/** A font that is there. */
export interface Font extends KnownFont {
  readonly path: string;
}

/** The fonts that are known, those of a lineage in the order of preference. */
export const knownFonts: readonly KnownFont[] = [
  {
    ...{ name: 'fluidr3', file: 'FluidR3_GM.sf2', lineage: 'F', from: 'fluid-soundfont-gm', licence: 'MIT' },
    unsound: [],
  },
  {
    ...{ name: 'fluidr3mono', file: 'FluidR3Mono_GM.sf3', lineage: 'F', from: 'fluidr3mono-gm-soundfont' },
    licence: 'MIT',
    unsound: [],
  },
  {
    ...{ name: 'musescore', file: 'MuseScore_General_Lite.sf3', lineage: 'F' },
    from: 'musescore-general-soundfont-small',
    licence: 'MIT',
    unsound: [],
  },
  {
    ...{ name: 'opl3', file: 'OPL-3_FM_128M.sf2', lineage: 'O', from: 'opl3-soundfont', licence: 'CC-BY-SA-4.0' },
    unsound: [],
  },
  {
    ...{ name: 'timgm6mb', file: 'TimGM6mb.sf2', lineage: 'T', from: 'timgm6mb-soundfont', licence: 'GPL-2' },
    unsound: [21, 78],
  },
  {
    ...{ name: 'csound', file: 'sf_GMbank.sf2', lineage: 'T', from: 'csound-soundfont', licence: 'public domain' },
    unsound: [21, 78],
  },
  {
    ...{ name: 'sonivox', file: 'sonivox.sf2', lineage: 'S', from: 'npm @coderline/alphatab', licence: 'Apache-2.0' },
    unsound: [],
  },
];

/** Lineages heard in training, on validation where they are there, and in the test. */
const roles: Record<Split, readonly KnownFont['lineage'][]> = { train: ['F'], valid: ['O'], test: ['T', 'S'] };

/** Where distributions keep sound fonts. */
const folders = [
  '/usr/share/sounds/sf2',
  '/usr/share/sounds/sf3',
  '/usr/share/soundfonts',
  '/usr/local/share/soundfonts',
];

/**
 * The known fonts that are there, one of a name.
 *
 * @param extra sound-font files, or folders of them, beside those of the distribution
 * @throws Error when one of `extra` is not there, or is a file of a font that is not known.
 */
export function findFonts(extra: readonly string[] = []): Font[] {
  for (const path of extra) {
    if (!existsSync(path)) throw new Error(`${path}: there is no such sound font or folder`);
    if (/\.sf[23]$/i.test(path) && !knownFonts.some(({ file }) => file === basename(path))) {
      const names = knownFonts.map(({ file }) => file).join(', ');
      throw new Error(
        `${path}: its lineage is not known, so that it cannot be kept apart from others; known fonts are ${names}`,
      );
    }
  }
  return knownFonts.flatMap((font) => {
    const paths = [
      ...extra.flatMap((path) => (/\.sf[23]$/i.test(path) ? [path] : [join(path, font.file)])),
      ...folders.map((folder) => join(folder, font.file)),
    ];
    const path = paths.find((own) => basename(own) === font.file && existsSync(own));
    return path === undefined ? [] : [{ ...font, path }];
  });
}

/** The lineages of known fonts. */
export const lineages = [...new Set(knownFonts.map(({ lineage }) => lineage))];

/** The fonts of each split: no lineage of the test is heard in training or on validation. */
export function fontsBySplit(fonts: readonly Font[]): Record<Split, Font[]> {
  const of = (split: Split) => fonts.filter(({ lineage }) => roles[split].includes(lineage));
  const [train, valid, test] = [of('train'), of('valid'), of('test')];
  // A model is chosen on the fonts of training where there is no third lineage.
  return { train, valid: valid.length > 0 ? valid : train, test };
}
